// Runs a compiled pipeline (JSON) and waits for its end.
//
// Example: go run ./examples/run_pipeline -server 127.0.0.1:8887 pipeline.json
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	penstock "penstock.dev/go"
	"penstock.dev/go/api/v2beta1"
)

func main() {
	server := flag.String("server", "127.0.0.1:8887", "HOST:PORT of the server")
	flag.Parse()
	content, err := os.ReadFile(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	spec := &structpb.Struct{}
	if err := protojson.Unmarshal(content, spec); err != nil {
		log.Fatal(err)
	}
	client, err := penstock.Dial(*server)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	run, err := client.Runs.CreateRun(ctx, &v2beta1.CreateRunRequest{Run: &v2beta1.Run{
		DisplayName:    "from Go",
		PipelineSource: &v2beta1.Run_PipelineSpec{PipelineSpec: spec},
	}})
	if err != nil {
		log.Fatal(err)
	}
	run, err = client.WaitForRun(ctx, run.GetRunId())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.GetRunId(), run.GetState())
}
