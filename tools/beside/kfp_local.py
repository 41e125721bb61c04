"""Runs one compiled pipeline under `kfp.local` and prints what came of it as one line of JSON on stderr.

Called by `tools.beside` with the interpreter of an environment that has kfp; imports nothing of Penstock.
"""

import json
import pathlib
import sys


def main() -> None:
    file, root, parameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    from kfp import components, local

    pathlib.Path(f"{root}-workspace").mkdir(parents=True, exist_ok=True)

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, workspace_root=f"{root}-workspace")
    outputs: dict[str, object] = {}
    result = {"state": "SUCCEEDED", "outputs": outputs, "error": ""}
    try:
        task = components.load_component_from_file(file)(**parameters)
        for name, value in task.outputs.items():
            try:
                json.dumps(value)
            except TypeError:
                value = "(artifact)"
            outputs[name] = value
    except Exception as error:  # noqa: BLE001
        result["state"] = "FAILED" if "failed" in str(error).lower() else "REFUSED"
        result["error"] = f"{type(error).__name__}: {str(error)[:300]}"
    print("\n" + json.dumps(result), file=sys.stderr)


if __name__ == "__main__":
    main()
