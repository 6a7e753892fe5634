// Handles finished workflow instances; CI_SUBJECT chooses other events.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

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
	subject := os.Getenv("CI_SUBJECT")
	if subject == "" {
		subject = "ci.workflow.*"
	}
	if err := subscribe(ctx, url, subject); err != nil {
		log.Fatal(err)
	}
}

func subscribe(ctx context.Context, url, subject string) error {
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
		FilterSubject: subject,
		AckPolicy:     jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	consuming, err := consumer.Consume(func(message jetstream.Msg) { handle(ctx, js, message) })
	if err != nil {
		return err
	}
	defer consuming.Stop()
	<-ctx.Done()
	return nil
}

// The body; of an event that is larger than NATS takes, from the object store, whole and compared with its digest.
func whole(ctx context.Context, js jetstream.JetStream, message jetstream.Msg) ([]byte, error) {
	bucket, name, found := strings.Cut(message.Headers().Get("Ci-Object"), "/")
	if !found {
		return message.Data(), nil
	}
	store, err := js.ObjectStore(ctx, bucket)
	if err != nil {
		return nil, err
	}
	return store.GetBytes(ctx, name)
}

func handle(ctx context.Context, js jetstream.JetStream, message jetstream.Msg) {
	body, err := whole(ctx, js, message)
	if err != nil {
		log.Print(err) // It comes again.
		return
	}
	var run workflow
	if err := json.Unmarshal(body, &run); err != nil {
		log.Print(err)
		message.Term() // It would be no better the next time.
		return
	}
	// Delivery is at least once: the id is the same whenever the same thing happened.
	fmt.Printf("%s %s %d tasks, %d bytes, SHA-256 %x\n", message.Headers().Get("Nats-Msg-Id"), run.State, len(run.Tasks), len(body), sha256.Sum256(body))
	// Only after the work is done: what is not acknowledged comes again.
	if err := message.Ack(); err != nil {
		log.Print(err)
	}
}
