// Handles finished workflow instances.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The fields of a workflow message that this service reads; there are more, under Tencent's own names.
type workflow struct {
	RunId  string
	State  string
	Object string
	Tasks  []struct{ Type, State, JobId string }
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	if err := subscribe(ctx, url); err != nil {
		log.Fatal(err)
	}
}

func subscribe(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	// The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
	consumer, err := js.CreateOrUpdateConsumer(ctx, "CI", jetstream.ConsumerConfig{
		Durable:       "workflows",
		FilterSubject: "ci.workflow.*",
		AckPolicy:     jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	consuming, err := consumer.Consume(handle)
	if err != nil {
		return err
	}
	defer consuming.Stop()
	<-ctx.Done()
	return nil
}

func handle(message jetstream.Msg) {
	var run workflow
	if err := json.Unmarshal(message.Data(), &run); err != nil {
		log.Print(err)
		message.Term() // It would be no better the next time.
		return
	}
	// Delivery is at least once: the id is the same whenever the same thing happened.
	fmt.Println(message.Headers().Get("Nats-Msg-Id"), run.State, run.Object, len(run.Tasks))
	// Only after the work is done: what is not acknowledged comes again.
	if err := message.Ack(); err != nil {
		log.Print(err)
	}
}
