#!/usr/bin/python3
"""The peers of bench-jobs: the same number of jobs that do nothing, through Celery and through BullMQ, made as durable
as they can be. Prints one line of JSON for each peer that could be run: name, jobs_per_second, conditions.

    jobs_peers.py --jobs N --folder DIR --packages DIR
    jobs_peers.py worker|producer …          what it starts itself

Celery: RabbitMQ where HORIZONS_RABBITMQ_URLS names one (durable queue, persistent messages, publisher confirms), else
Redis; late acknowledgement; states kept in Redis. BullMQ: Redis. Both get a Redis of their own that syncs its log at
every write, as our journal does, and two processes that work, as there are two cores.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
import time

DEADLINE_S = 300
PRODUCERS = 4  # each waits for the broker's confirmation of one message at a time
HERE = pathlib.Path(__file__).resolve()


def say(text):
    print(f"bench-jobs: {text}", file=sys.stderr)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis:
    """A server of our own that syncs every write."""

    def __init__(self, folder):
        import redis

        self.port = free_port()
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir(parents=True)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"],
            stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port)
        wait_until(self.answers, "redis-server does not answer")
        self.version = self.client.info()["redis_version"]

    def answers(self):
        try:
            return self.client.ping()
        except Exception:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        subprocess.run(["rm", "-r", str(self.folder)], check=True)


def wait_until(condition, otherwise):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(otherwise)
        time.sleep(0.01)


# -- Celery -----------------------------------------------------------------------------------------------------------


def celery_app():
    import celery

    app = celery.Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_RESULTS"])
    app.conf.update(
        task_default_queue=os.environ["BENCH_QUEUE"],
        task_acks_late=True,
        task_track_started=True,
        worker_prefetch_multiplier=64,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True} if os.environ["BENCH_BROKER"].startswith("amqp") else {},
    )

    @app.task(name="nothing")
    def nothing(number):
        return None

    return app, nothing


def produce(first, count):
    _, nothing = celery_app()
    for number in range(first, first + count):
        nothing.delay(number)


def celery(jobs, folder):
    import celery as package
    import redis

    with Redis(folder) as results:
        urls = os.environ.get("HORIZONS_RABBITMQ_URLS", "").split(",")
        broker = urls[0] or f"redis://127.0.0.1:{results.port}/1"
        os.environ["BENCH_BROKER"] = broker
        os.environ["BENCH_RESULTS"] = f"redis://127.0.0.1:{results.port}/0"
        os.environ["BENCH_QUEUE"] = f"bench-{os.getpid()}"
        stored = redis.Redis(port=results.port, db=0)
        worker = subprocess.Popen([sys.executable, str(HERE), "worker"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, cwd=folder)
        try:
            _, nothing = celery_app()
            nothing.delay(0).get(timeout=DEADLINE_S)  # the worker is there
            stored.flushdb()
            begin = time.monotonic()
            producers = [multiprocessing.Process(target=produce, args=(n * (jobs // PRODUCERS), jobs // PRODUCERS))
                         for n in range(PRODUCERS)]
            for p in producers:
                p.start()
            for p in producers:
                p.join()
            jobs = jobs // PRODUCERS * PRODUCERS

            def all_done():
                if stored.dbsize() < jobs:
                    return False
                keys = list(stored.scan_iter("celery-task-meta-*", count=10_000))
                return all(b'"SUCCESS"' in v for v in stored.mget(keys))

            wait_until(all_done, "Celery did not finish")
            seconds = time.monotonic() - begin
        finally:
            worker.terminate()
            worker.wait()
            app, _ = celery_app()
            if broker.startswith("amqp"):
                with app.connection() as connection:
                    connection.default_channel.queue_delete(os.environ["BENCH_QUEUE"])
        kind = "RabbitMQ, durable queue, persistent messages, confirms" if broker.startswith("amqp") else "Redis"
        return {"name": "Celery " + package.__version__, "jobs_per_second": jobs / seconds,
                "conditions": f"{jobs} jobs; broker {kind}; late acknowledgement; states started and success in Redis "
                              f"{results.version}, synced at every write; 2 worker processes, {PRODUCERS} producers"}


def celery_worker():
    app, _ = celery_app()
    app.worker_main(["worker", "--concurrency=2", "--loglevel=error", "--without-gossip", "--without-mingle",
                     "--without-heartbeat"])


# -- BullMQ -----------------------------------------------------------------------------------------------------------


def bullmq(jobs, folder, packages):
    packages.mkdir(parents=True, exist_ok=True)
    if not (packages / "node_modules" / "bullmq").is_dir():
        subprocess.run(["npm", "install", "--prefix", str(packages), "--no-audit", "--no-fund", "bullmq@5"], check=True,
                       stdout=subprocess.DEVNULL)
    script = packages / "jobs_bullmq.mjs"
    script.write_bytes((HERE.parent / "jobs_bullmq.mjs").read_bytes())  # imports are looked up beside the script
    version = json.loads((packages / "node_modules" / "bullmq" / "package.json").read_text())["version"]
    with Redis(folder) as redis:
        run = subprocess.run(["node", str(script), str(redis.port), str(jobs)], check=True, capture_output=True,
                             text=True, timeout=DEADLINE_S)
        return {"name": "BullMQ " + version, "jobs_per_second": jobs / float(run.stdout),
                "conditions": f"{jobs} jobs; Redis {redis.version}, synced at every write; up to 2,000 additions and "
                              "256 jobs under way; a producer and a worker process"}


def main():
    if sys.argv[1:] == ["worker"]:
        return celery_worker()
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    o = parser.parse_args()
    for peer, run in (("Celery", lambda: celery(o.jobs, o.folder)),
                      ("BullMQ", lambda: bullmq(o.jobs, o.folder, o.packages))):
        try:
            print(json.dumps(run()), flush=True)
        except Exception as e:  # a peer that is not installed is left out, and said so
            say(f"{peer} is left out: {e}")


if __name__ == "__main__":
    main()
