"""The gateway.

One thread for each matrix product: batches are classified side by side in worker threads of our own, and
OpenBLAS's would only get in their way. It reads the variable when numpy is first imported, hence here.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
