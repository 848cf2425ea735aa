"""Every sequence, by family. A family is the first word of a name."""

import itertools

from tables import addressing, calls, captures, codecs, control, crypto, dialogs, ice, layout, media, transcoding, wire


def all_sequences():
    """All of them, in the order of the tables; a name stands for one alone."""
    # `media` is of another kind: scripts.
    modules = [layout, addressing, ice, crypto, codecs, transcoding, dialogs, calls, control, wire, captures]
    made = list(itertools.chain.from_iterable(module.sequences() for module in modules))
    names = [sequence.name for sequence in made]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        raise ValueError(f"two sequences of one name: {sorted(doubles)}")
    return made
