"""What a kernel did wrong, or what the interpreter doesn't know."""


class PtxError(Exception):
    """A kernel broke a rule of CUDA; the text has the kernel, block, thread and instruction."""


class Unsupported(Exception):
    """PTX that the interpreter doesn't know."""
