"""The gateway.

One thread for each matrix product, whatever the environment says: batches are classified side by side in
worker threads of our own, and a pool of OpenBLAS's would not only get in their way. It does not survive that
a decoder process is started (forked) while a product is under way: every later product waits for ever. The
variable is read when numpy is first imported, hence here.

And no telemetry of onnxruntime, which would write a file into the temporary directory and call its maker.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
