// franz-go behind the peers' common command line (see ../README.md).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type record struct {
	Key     []byte   `json:"key"`
	Value   []byte   `json:"value"`
	Headers [][2]any `json:"headers"`
}

type incoming struct {
	Key     []byte              `json:"key"`
	Value   []byte              `json:"value"`
	Headers [][]json.RawMessage `json:"headers"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	switch os.Args[1] {
	case "produce":
		err = produce(ctx, os.Args[2], os.Args[3], os.Args[4])
	case "consume":
		err = consume(ctx, os.Args[2], os.Args[3], os.Args[4], "")
	case "group":
		err = consume(ctx, os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func produce(ctx context.Context, bootstrap, topic, codec string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var in incoming
		if err := json.Unmarshal(lines.Bytes(), &in); err != nil {
			return err
		}
		out := &kgo.Record{Topic: topic, Key: in.Key, Value: in.Value}
		for _, header := range in.Headers {
			var one kgo.RecordHeader
			if err := json.Unmarshal(header[0], &one.Key); err != nil {
				return err
			}
			if err := json.Unmarshal(header[1], &one.Value); err != nil {
				return err
			}
			out.Headers = append(out.Headers, one)
		}
		records = append(records, out)
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func consume(ctx context.Context, bootstrap, topic, count, group string) error {
	want, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	options := []kgo.Opt{kgo.SeedBrokers(bootstrap)}
	if group == "" {
		start := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
		options = append(options, kgo.ConsumePartitions(start))
	} else {
		options = append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	out := json.NewEncoder(os.Stdout)
	for seen := 0; seen < want; {
		fetches := client.PollFetches(ctx)
		if errors := fetches.Errors(); len(errors) > 0 {
			return errors[0].Err
		}
		for _, r := range fetches.Records() {
			headers := [][2]any{}
			for _, header := range r.Headers {
				headers = append(headers, [2]any{header.Key, header.Value})
			}
			if err := out.Encode(record{r.Key, r.Value, headers}); err != nil {
				return err
			}
			seen++
		}
	}
	if group != "" {
		return client.CommitUncommittedOffsets(ctx)
	}
	return nil
}
