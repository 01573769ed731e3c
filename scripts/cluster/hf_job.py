# /// script
# requires-python = ">=3.11"
# dependencies = ["cytoimagenet-hf[plates] @ git+https://github.com/OWNER/cytoimagenet-hf"]
# ///
"""One part of an extraction as a job of the Hub; write your fork or release into `dependencies` above.

for part in $(seq 1 8); do
    hf jobs uv run --detach -v hf://buckets/ME/features:/features scripts/cluster/hf_job.py \
        extract hf:ME/plates:train --model ME/network --output /features/plates --part $part/8
done

Run it once more without `--part` when all have ended: it makes what is missing and completes the folder.
"""

import sys

from cytoimagenet_hf.cli import main

if __name__ == "__main__":
    sys.exit(main())
