"""What a sequence is: a name and some requests, of which a later one may answer what the relay wrote before."""

import itertools
from dataclasses import dataclass, field

from answering import Answer
from bodies import BODIES

FROM, TO = "caller-tag", "callee-tag"


@dataclass
class Step:
    """One request. `sdp` is a text, an `Answer` to what the step `of` got, or None."""

    request: dict
    sdp: object = None
    of: int = None
    json: bool = False
    # The datagram after the cookie, byte for byte, in place of a request.
    raw: bytes = None
    # A preparation: its reply is not compared.
    silent: bool = False
    # Only the outcome is compared, not the statistics that come with it.
    outcome: bool = False
    # Another Call-ID than the sequence's.
    call: str = None


@dataclass
class Sequence:
    name: str
    steps: list = field(default_factory=list)

    @property
    def family(self):
        return self.name.split("/")[0]


def request(command, flags=None, **keys):
    """A request's keys, `_` standing for the hyphen; `flags` are the keys that the sequence is about."""
    made = {"command": command, **{key.replace("_", "-"): value for key, value in keys.items() if value is not None}}
    made.update(flags or {})
    return {key: value for key, value in made.items() if value is not None}


def offer(sdp="plain", flags=None, tag=FROM, to=None, json=False, silent=False, **keys):
    return Step(request("offer", flags, from_tag=tag, to_tag=to, **keys), BODIES.get(sdp, sdp), json=json, silent=silent)


def answer(flags=None, of=None, tag=FROM, to=TO, how=None, json=False, silent=False, **keys):
    """How it is answered: an `Answer`, or a text. Without `of` it is the last offer that is answered."""
    how = how if how is not None else Answer()
    return Step(request("answer", flags, from_tag=tag, to_tag=to, **keys), BODIES.get(how, how) if isinstance(how, str) else how,
                of=of, json=json, silent=silent)


def command(name, flags=None, json=False, silent=False, **keys):
    return Step(request(name, flags, **keys), json=json, silent=silent)


def call(name, flags=None, sdp="plain", back=None, how=None, json=False):
    """An offer with flags and its answer."""
    return Sequence(name, [offer(sdp, flags, json=json), answer(back, how=how, json=json)])


def pairs(choices):
    """Every two of a table of named flags that do not name the same key twice; lists are joined."""
    for (name, flags), (other, others) in itertools.combinations(choices.items(), 2):
        both = joined(flags, others)
        if both is not None:
            yield f"{name}+{other}", both


def joined(flags, others):
    """Both dictionaries of keys in one; None when they contradict one another."""
    both = dict(flags)
    for key, value in others.items():
        if key not in both:
            both[key] = value
        elif isinstance(value, list) and isinstance(both[key], list):
            both[key] = both[key] + [item for item in value if item not in both[key]]
        elif isinstance(value, dict) and isinstance(both[key], dict):
            both[key] = joined(both[key], value)
            if both[key] is None:
                return None
        else:
            return None
    return both


def words(*flags):
    """Flags of a request that has these words."""
    return {"flags": list(flags)}
