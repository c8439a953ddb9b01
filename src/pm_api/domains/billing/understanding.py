"""What cannot be applied is held for a person, whoever finds it out."""


class EventNotUnderstood(Exception):
    """What Stripe has cannot be applied as it is: nothing is guessed."""
