// Lists the newest runs of a server.
//
// Example: go run ./examples/list_runs -server 127.0.0.1:8887
//
// To a server that speaks TLS: -ca-file ca.crt, and -client-cert client.crt -client-key client.key if it asks for one.
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
	ca := flag.String("ca-file", "", "PEM file with the authorities to trust; TLS is spoken with it")
	cert := flag.String("client-cert", "", "PEM file with one's own certificate")
	key := flag.String("client-key", "", "PEM file with the key of that certificate")
	flag.Parse()
	var options []penstock.Option
	if *ca != "" {
		config, err := penstock.TLSFromFiles(*ca, *cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, penstock.WithTLS(config))
	}
	client, err := penstock.Dial(*server, options...)
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
