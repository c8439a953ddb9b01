async def test_register(person):
    answer = await person.client.get("/api/auth/me")
    assert answer.status_code == 200
    print(answer.json())
