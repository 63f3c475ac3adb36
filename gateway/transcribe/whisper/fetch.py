"""Where the hub's local cache has a model: `python -m gateway.transcribe.whisper.fetch [--download] -- NAME`.

Answers with one JSON object, `{"path": …}` or `{"error": …}`. Nothing is fetched unless it is asked to.
"""

import argparse
import json
import sys


def main(arguments: list[str] | None = None) -> int:
    """0 where the model was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--download", action="store_true")
    parser.add_argument("name")
    given = parser.parse_args(arguments)
    answer = locate(given.name, download=given.download)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if "path" in answer else 1


def locate(name: str, *, download: bool) -> dict[str, str]:
    """The directory, or why there is none."""
    from faster_whisper.utils import available_models, download_model

    if "/" not in name and name not in available_models():
        return {"error": f"it is no directory, and the hub's models are {', '.join(available_models())}"}
    try:
        return {"path": download_model(name, local_files_only=not download)}
    except Exception as error:  # the hub's library has dozens of them
        if download:
            return {
                "error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
            }
        return {
            "error": "the hub's local cache doesn't have it, and UNDERTONE_WHISPER_DOWNLOAD is off; "
            "turn that on, or name a directory"
        }


if __name__ == "__main__":
    sys.exit(main())
