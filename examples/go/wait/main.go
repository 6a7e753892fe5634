// Waits for the job whose id is the argument, and prints what became of it: go run ./wait JOB
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	// The body says how long the bridge keeps the request; the timeout is a little longer.
	message, err := nc.Request("ci.await."+os.Args[1], []byte("30m"), 31*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	if why := message.Header.Get("Nats-Service-Error"); why != "" {
		log.Fatal(why)
	}
	var job struct{ State string }
	if err := json.Unmarshal(message.Data, &job); err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.State, message.Header.Get("ce-subject"))
}
