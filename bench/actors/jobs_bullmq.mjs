// BullMQ's side of bench-jobs: PORT JOBS. Prints the seconds from the first addition to the last completion. The worker
// is a process of its own, as the producer would keep it from working.
import { fork } from 'node:child_process';
import { Queue, Worker } from 'bullmq';

const [port, jobs, role] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
const additionsMax = 2000;

if (role === 'worker') {
  let done = 0;
  const worker = new Worker('bench', async () => null, { connection, concurrency: 256 });
  worker.on('completed', () => {
    if (++done === 1 || done === Number(jobs) + 1) process.send(done);
  });
  process.on('disconnect', () => process.exit());
} else {
  const queue = new Queue('bench', { connection });
  const worker = fork(process.argv[1], [port, jobs, 'worker']);
  const told = () => new Promise((resolve) => worker.once('message', resolve));
  let news = told();
  await queue.add('nothing', { number: -1 });
  await news; // the worker is there
  news = told();
  const begin = performance.now();
  let next = 0;
  const add = async () => {
    while (next < Number(jobs)) await queue.add('nothing', { number: next++ });
  };
  await Promise.all(Array.from({ length: additionsMax }, add));
  await news;
  console.log((performance.now() - begin) / 1000);
  worker.kill();
  await queue.close();
}
