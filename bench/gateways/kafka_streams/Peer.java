// Kafka Streams at the pass-through of kafka_bench.cpp: every record of one topic onto another, at least once, done when
// all replicas in sync have it. Prints one line "records/s CPU-microseconds-per-record" per round, after one round that
// warms the JVM up. Peer BROKERS FROM TO COUNT ROUNDS LINGER_MS
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerInterceptor;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

public class Peer {
  static final AtomicLong acknowledged = new AtomicLong();
  static final AtomicLong began = new AtomicLong();
  static final AtomicLong cpu = new AtomicLong();
  static volatile long count;
  static volatile Runnable done;

  static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  public static class Acknowledgements implements ProducerInterceptor<byte[], byte[]> {
    @Override
    public ProducerRecord<byte[], byte[]> onSend(ProducerRecord<byte[], byte[]> r) {
      if (began.get() == 0 && began.compareAndSet(0, System.nanoTime())) cpu.set(cpuNanos());
      return r;
    }
    @Override
    public void onAcknowledgement(RecordMetadata m, Exception e) {
      if (e != null) {
        System.err.println("a record was not taken: " + e);
        System.exit(1);
      }
      if (acknowledged.incrementAndGet() == count) done.run();
    }
    @Override
    public void close() {}
    @Override
    public void configure(Map<String, ?> settings) {}
  }

  static void round(String[] a, int number, boolean quiet) throws Exception {
    var p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, "streams-" + ProcessHandle.current().pid() + "-" + number);
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams").toString());
    p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    p.put("auto.offset.reset", "earliest");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG), "true");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), a[5]);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.INTERCEPTOR_CLASSES_CONFIG), Acknowledgements.class.getName());
    var builder = new StreamsBuilder();
    builder.<byte[], byte[]>stream(a[1]).to(a[2]);
    acknowledged.set(0);
    began.set(0);
    count = Long.parseLong(a[3]);
    var ended = new java.util.concurrent.CountDownLatch(1);
    var figures = new double[2];
    done = () -> {
      figures[0] = count / ((System.nanoTime() - began.get()) * 1e-9);
      figures[1] = (cpuNanos() - cpu.get()) * 1e-3 / count;
      ended.countDown();
    };
    try (var streams = new KafkaStreams(builder.build(), p)) {
      streams.start();
      ended.await();
    }
    if (!quiet) System.out.printf("%.1f %.4f%n", figures[0], figures[1]);
  }

  public static void main(String[] a) throws Exception {
    round(a, 0, true);
    for (int i = 1; i <= Integer.parseInt(a[4]); ++i) round(a, i, false);
  }
}
