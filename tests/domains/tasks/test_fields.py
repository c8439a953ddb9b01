"""What tasks say in the fields of their project goes with the field."""

from tests.domains.tasks.sites import Json, Site, path_of


async def field(site: Site, project: Json, **body: object) -> str:
    answer = await site.owner.client.post(f"/api/projects/{project['id']}/fields", json={"kind": "TEXT", **body})
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["field"]["id"]
    return made


async def test_a_later_field_of_the_same_key_begins_empty(site: Site) -> None:
    project, other = await site.project(), await site.project()
    effort = await field(site, project, name="Effort")
    for one in (project, other):
        await field(site, one, name="Team")
    await field(site, other, name="Effort")
    task = await site.task(project, fields={"EFFORT": "big", "TEAM": "Web"})
    gone = await site.task(project, fields={"EFFORT": "small"})
    untouched = await site.task(project, fields={"TEAM": "Web"})
    elsewhere = await site.task(other, fields={"EFFORT": "big"})
    await site.owner.client.delete(path_of(gone))
    deleted = await site.owner.client.delete(f"/api/projects/{project['id']}/fields/{effort}")
    assert deleted.status_code == 204, deleted.text
    await field(site, project, name="Effort", kind="NUMBER")
    assert (await site.owner.client.post(path_of(gone, "/restore"))).status_code == 200
    assert (await site.read(task))["fields"] == {"TEAM": "Web"}
    assert (await site.read(gone))["fields"] == {}
    assert (await site.read(untouched))["version"] == untouched["version"]
    assert (await site.read(elsewhere))["fields"] == {"EFFORT": "big"}
