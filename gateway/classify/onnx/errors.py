"""What is wrong with a model or with the file that describes it."""


class ModelError(Exception):
    """The model can't be used. Raised while the process starts, never by a call.

    Args:
        where: the field of the file that is to blame, such as `input.name`, or the file itself.
        message: what is wrong with it.
        hint: what to do about it.
    """

    def __init__(self, where: str, message: str, hint: str = "") -> None:
        super().__init__(f"{where} {message}")
        self.where = where
        self.message = message
        self.hint = hint
