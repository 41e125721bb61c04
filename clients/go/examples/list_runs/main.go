// Lists the newest runs of a server.
//
// Example: go run ./examples/list_runs -server 127.0.0.1:8887
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	penstock "penstock.dev/go"
	"penstock.dev/go/api/v2beta1"
)

func main() {
	server := flag.String("server", "127.0.0.1:8887", "HOST:PORT of the server")
	flag.Parse()
	client, err := penstock.Dial(*server)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	request := &v2beta1.ListRunsRequest{SortBy: "created_at desc", PageSize: 100}
	for run, err := range client.AllRuns(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s  %-9s  %s\n", run.GetRunId(), run.GetState(), run.GetDisplayName())
	}
}
