// Posts callbacks over HTTP/2, all of a round at once over a connection of its own.
// Arguments: port, file of the authority, posts a round, rounds. Prints a line a round: each status, and how often.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

const body = "<Response><EventName>TaskFinish</EventName>" +
	"<JobsDetail><JobId>go-%d-%d</JobId><Tag>Transcode</Tag><State>Success</State></JobsDetail></Response>"

func post(client *http.Client, url string, round, number int) string {
	answer, err := client.Post(url, "application/xml", strings.NewReader(fmt.Sprintf(body, round, number)))
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	if answer.ProtoMajor != 2 {
		return answer.Proto
	}
	return strconv.Itoa(answer.StatusCode)
}

func main() {
	posts, _ := strconv.Atoi(os.Args[3])
	rounds, _ := strconv.Atoi(os.Args[4])
	pem, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	url := "https://127.0.0.1:" + os.Args[1] + "/ci/callback"
	for round := 0; round < rounds; round++ {
		// One connection carries all: the others wait for its handshake, and then begin together.
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
			MaxConnsPerHost:   1,
		}
		client := &http.Client{Transport: transport}
		statuses := make([]string, posts)
		var all sync.WaitGroup
		for number := range statuses {
			all.Add(1)
			go func() {
				defer all.Done()
				statuses[number] = post(client, url, round, number)
			}()
		}
		all.Wait()
		count := map[string]int{}
		for _, status := range statuses {
			count[status]++
		}
		var parts []string
		for status, times := range count {
			parts = append(parts, fmt.Sprintf("%s: %d", status, times))
		}
		fmt.Println(strings.Join(parts, ", "))
		transport.CloseIdleConnections()
	}
}
