"""What a user does, with nothing of Penstock installed: compile and submit through the kfp SDK.

Runs in an environment that has `kfp` alone. Prints the run's id on the last line.

Example: python submit.py http://127.0.0.1:8888 path/to/tests/pipelines
"""

import sys
import warnings

warnings.simplefilter("ignore")

import kfp  # noqa: E402

if __name__ == "__main__":
    host, directory = sys.argv[1:3]
    sys.path.insert(0, directory)
    import wine_quality

    client = kfp.Client(host=host)
    run = client.create_run_from_pipeline_func(
        wine_quality.wine_quality,
        arguments={"bar": 0.8},
        experiment_name="demo",
        enable_caching=True,
    )
    sys.stdout.write(run.run_id + "\n")
