"""`GET /api/idempotency/{key}`: the outcome after a lost answer."""

from tests.conftest import NewPerson


async def test_the_outcome_of_a_lost_answer(new_person: NewPerson) -> None:
    ann, eve = await new_person(), await new_person()
    made = await ann.client.post("/api/workspaces", headers={"Idempotency-Key": "w"}, json={"name": "Lost"})
    spent = await ann.client.post("/api/credits/spend", headers={"Idempotency-Key": "s"}, json={"amount": 3})
    refused = await ann.client.post("/api/credits/spend", headers={"Idempotency-Key": "r"}, json={"amount": 30})
    for key, route, answer in (
        ("w", "createWorkspace", made),
        ("s", "spendCredits", spent),
        ("r", "spendCredits", refused),
    ):
        found = await ann.client.get(f"/api/idempotency/{key}", params={"route": route})
        assert found.status_code == 200, found.text
        outcome = found.json()["outcome"]
        assert (outcome["statusCode"], outcome["body"]) == (answer.status_code, answer.json())
        others = await eve.client.get(f"/api/idempotency/{key}", params={"route": route})
        assert others.status_code == 404
    unused = await ann.client.get("/api/idempotency/w", params={"route": "spendCredits"})
    assert unused.status_code == 404
    mistyped = await ann.client.get("/api/idempotency/s", params={"route": "/api/credits/spend"})
    assert mistyped.status_code == 422
