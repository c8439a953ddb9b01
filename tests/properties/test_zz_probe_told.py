
import time
import pytest
from tests.properties.test_billing_convergence import *
from tests.properties.test_billing_convergence import stage

def test_probe(stage):
    theatre = stage.theatre
    steps = {s.name: s.number for s in theatre.past.steps}
    print({v:k for k,v in steps.items()})
    rec = steps["recovered"]
    for end in (rec - 1, rec, steps["renewed at the lower price"]+1, theatre.last):
        t=time.time()
        want = stage.expected(end, SPENDING)
        print("perfect", end, round(time.time()-t,1), want["credits"])
        events = theatre.events_until(end)
        for name, late in (("all", lambda e: True), ("money", lambda e: e.type.startswith("charge")), ("refunds", lambda e: e.type == "charge.refunded"), ("but money", lambda e: not e.type.startswith("charge")), ("reversed", lambda e: True)):
            tell = []
            for n, e in enumerate(events):
                at = min(end, told_by(theatre, e.step)) if late(e) else e.step
                tell.append(Telling(at, -n if name == "reversed" else n, n, at))
            t=time.time()
            got = stage.play(Stream(end, SPENDING, tuple(tell), {}))
            print(end, name, round(time.time()-t,1), differences(want, got), flush=True)
