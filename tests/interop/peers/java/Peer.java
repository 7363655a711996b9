import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client behind the peers' common command line (see ../README.md). */
public final class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long DEADLINE_MS = 60_000;

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "produce" -> produce(args[1], args[2], args[3]);
            case "consume" -> consume(args[1], args[2], Integer.parseInt(args[3]), null);
            case "group" -> consume(args[1], args[2], Integer.parseInt(args[3]), args[4]);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static void produce(String bootstrap, String topic, String codec) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("acks", "all");
        config.put("compression.type", codec);
        config.put("linger.ms", "20");
        var bytes = new ByteArraySerializer();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<byte[], byte[]>(config, bytes, bytes);
             var in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                JsonNode node = JSON.readTree(line);
                var record = new ProducerRecord<byte[], byte[]>(topic, 0, raw(node.get("key")), raw(node.get("value")));
                for (JsonNode header : node.get("headers")) {
                    record.headers().add(header.get(0).asText(), raw(header.get(1)));
                }
                sent.add(producer.send(record));
            }
            for (var future : sent) {
                future.get();
            }
        }
    }

    private static void consume(String bootstrap, String topic, int count, String group) throws IOException {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        if (group != null) {
            config.put("group.id", group);
        }
        var bytes = new ByteArrayDeserializer();
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        int seen = 0;
        try (var consumer = new KafkaConsumer<byte[], byte[]>(config, bytes, bytes)) {
            if (group != null) {
                consumer.subscribe(List.of(topic));
            } else {
                var partition = new TopicPartition(topic, 0);
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
            }
            while (seen < count) {
                if (System.currentTimeMillis() > deadline) {
                    throw new IOException("only " + seen + " of " + count + " records");
                }
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(JSON.writeValueAsString(describe(record)));
                    seen++;
                }
            }
            if (group != null) {
                consumer.commitSync();
            }
        }
    }

    private static ObjectNode describe(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = JSON.createObjectNode();
        node.put("key", record.key());
        node.put("value", record.value());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value());
        }
        return node;
    }

    private static byte[] raw(JsonNode node) throws IOException {
        return node.isNull() ? null : node.binaryValue();
    }
}
