// The bridge one writes in Go today: net/http, encoding/xml, encoding/json and nats.go; acknowledged before the answer.
package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type job struct {
	JobId, Tag, State, Code, Message, CreationTime, StartTime, EndTime, QueueId string

	Input     struct{ BucketId, Object, Region string }
	Operation struct {
		JobLevel, UserData string
		Output             struct{ Bucket, Object, Region string }
	}
}

type callback struct {
	EventName  string
	JobsDetail []job
}

func read(body []byte) (found callback, err error) {
	if bytes.HasPrefix(body, []byte("<")) {
		err = xml.Unmarshal(body, &found)
	} else {
		err = json.Unmarshal(body, &found)
	}
	return found, err
}

func publish(r *http.Request, js jetstream.JetStream) (int, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusBadRequest, err
	}
	found, err := read(body)
	if err != nil {
		return http.StatusBadRequest, err
	}
	for _, job := range found.JobsDetail {
		data, err := json.Marshal(job)
		if err != nil {
			return http.StatusInternalServerError, err
		}
		subject := fmt.Sprintf("ci.task.%s.%s", job.Tag, strings.ToLower(job.State))
		id := fmt.Sprintf("task:%s:%s", job.JobId, job.State)
		if _, err := js.Publish(r.Context(), subject, data, jetstream.WithMsgID(id)); err != nil {
			return http.StatusServiceUnavailable, err
		}
	}
	return http.StatusOK, nil
}

func main() {
	connection, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(connection)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /ci/callback", func(w http.ResponseWriter, r *http.Request) {
		if status, err := publish(r, js); err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		io.WriteString(w, "ok\n")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ready on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
