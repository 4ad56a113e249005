// Apache Pekko (typed, Java API) at the same tasks as runtime_bench.cpp. Prints one line "task value" per round; see
// that file for what each task is. Peer ROUNDS ROUND_TRIPS SENDERS PER_SENDER SPAWNS CRASHES [WARM_UP_ROUNDS]
import com.typesafe.config.ConfigFactory;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.SupervisorStrategy;
import org.apache.pekko.actor.typed.javadsl.Behaviors;

public class Peer {
  record Ball(long n, ActorRef<Ball> from) {}

  static boolean quiet = true;

  static void line(String task, double value) {
    if (!quiet) System.out.printf("%s %.6f%n", task, value);
  }

  static <T> ActorSystem<T> system(Behavior<T> root) {
    // The same turn length as ours; everything else as delivered.
    var config = ConfigFactory.parseString(
        "pekko.actor.default-dispatcher.throughput=50\npekko.loglevel=OFF\npekko.stdout-loglevel=OFF\n"
        + "pekko.log-dead-letters=off\npekko.coordinated-shutdown.run-by-jvm-shutdown-hook=off")
        .withFallback(ConfigFactory.load());
    return ActorSystem.create(root, "peer", config);
  }

  static void end(ActorSystem<?> system) throws Exception {
    system.terminate();
    system.getWhenTerminated().toCompletableFuture().get();
  }

  static double seconds(long from) { return (System.nanoTime() - from) * 1e-9; }

  static double pingPong(long n) throws Exception {
    var done = new CountDownLatch(1);
    var begin = new long[1];
    var system = system(Behaviors.<Void>setup(root -> {
      ActorRef<Ball> pong = root.spawn(Behaviors.setup(c -> Behaviors.receiveMessage(b -> {
        b.from().tell(new Ball(b.n(), c.getSelf()));
        return Behaviors.same();
      })), "pong");
      ActorRef<Ball> ping = root.spawn(Behaviors.setup(c -> Behaviors.receiveMessage(b -> {
        if (b.n() == n) done.countDown();
        else pong.tell(new Ball(b.n() + 1, c.getSelf()));
        return Behaviors.same();
      })), "ping");
      begin[0] = System.nanoTime();
      ping.tell(new Ball(0, pong));
      return Behaviors.empty();
    }));
    done.await();
    double rate = n / seconds(begin[0]);
    end(system);
    return rate;
  }

  static double fanIn(int senders, long each) throws Exception {
    var done = new CountDownLatch(1);
    var begin = new long[1];
    var system = system(Behaviors.<Void>setup(root -> {
      ActorRef<Long> sink = root.spawn(Behaviors.setup(c -> {
        var left = new long[] {senders * each};
        return Behaviors.receiveMessage(m -> {
          if (--left[0] == 0) done.countDown();
          return Behaviors.same();
        });
      }), "sink");
      begin[0] = System.nanoTime();
      for (int i = 0; i < senders; ++i)
        root.spawn(Behaviors.setup(c -> {
          for (long n = 0; n < each; ++n) sink.tell(n);
          return Behaviors.stopped();
        }), "source" + i);
      return Behaviors.empty();
    }));
    done.await();
    double rate = senders * each / seconds(begin[0]);
    end(system);
    return rate;
  }

  static long heap() {
    System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  static void spawn(int n) throws Exception {
    var running = new AtomicInteger();
    var done = new CountDownLatch(1);
    var begin = new long[2];
    var system = system(Behaviors.<Void>setup(root -> {
      begin[1] = heap();
      begin[0] = System.nanoTime();
      for (int i = 0; i < n; ++i)
        root.spawn(Behaviors.supervise(Behaviors.<Long>setup(c -> {
          if (running.incrementAndGet() == n) done.countDown();
          return Behaviors.receiveMessage(m -> Behaviors.same());
        })).onFailure(SupervisorStrategy.stop()), Integer.toString(i));
      return Behaviors.empty();
    }));
    done.await();
    line("spawn", seconds(begin[0]) * 1e6 / n);
    line("child_bytes", (double) (heap() - begin[1]) / n);
    end(system);
  }

  static double[] restart(int crashes) throws Exception {
    var runs = new SynchronousQueue<Long>();
    var failed = new long[1];
    var child = new ActorRef[1];
    var system = system(Behaviors.<Void>setup(root -> {
      root.spawn(Behaviors.supervise(Behaviors.<Long>setup(c -> {
        long now = System.nanoTime();
        child[0] = c.getSelf();
        runs.put(now);
        return Behaviors.receiveMessage(m -> {
          failed[0] = System.nanoTime();
          throw new RuntimeException("crash", null, false, false) {};
        });
      })).onFailure(SupervisorStrategy.restart()), "child");
      return Behaviors.empty();
    }));
    runs.take();
    var us = new double[crashes];
    for (int i = 0; i < crashes; ++i) {
      @SuppressWarnings("unchecked") ActorRef<Long> to = child[0];
      to.tell(1L);
      us[i] = (runs.take() - failed[0]) * 1e-3;
    }
    end(system);
    Arrays.sort(us);
    return new double[] {us[crashes / 2], us[crashes * 99 / 100]};
  }

  public static void main(String[] a) {
    try {
      measure(a);
      System.exit(0);
    } catch (Throwable e) {  // threads of a system would keep the program alive
      e.printStackTrace();
      System.exit(1);
    }
  }

  static void measure(String[] a) throws Exception {
    int rounds = Integer.parseInt(a[0]), warmUp = a.length > 6 ? Integer.parseInt(a[6]) : 2;
    for (int i = 0; i < warmUp + rounds; ++i) {
      quiet = i < warmUp;  // the compiler warms up
      line("ping_pong", pingPong(Long.parseLong(a[1])));
      line("fan_in", fanIn(Integer.parseInt(a[2]), Long.parseLong(a[3])));
      spawn(Integer.parseInt(a[4]));
      var us = restart(Integer.parseInt(a[5]));
      line("restart_p50", us[0]);
      line("restart_p99", us[1]);
    }
  }
}
