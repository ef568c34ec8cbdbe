"""Actions and policies, which are `access` in this SDK."""

from scene import NOWHERE, admin, equal, guarded, lists, refused, works

analysis = admin.analysis.create({"name": "ruled"})["id"]
made = {}


def action(name, tags=None):
    new = {
        "name": name,
        "type": "interval",
        "trigger": [{"interval": "1 day"}],
        "action": {"type": "script", "script": [analysis]},
    }
    return new if tags is None else {**new, "tags": tags}


@works("actions.list")
def _():
    def make(name, tags):
        admin.actions.create(action(name, tags))

    lists(lambda by, query: by.actions.list(query), "name", make)


@works("actions.create")
def _():
    made["id"] = admin.actions.create(action("methods"))["action"]
    never = {**action("never"), "trigger": [{"interval": "0 minutes"}]}
    refused(lambda: admin.actions.create(never), "interval")
    guarded(lambda by: by.actions.create(action("x")), "create", "action")


@works("actions.info")
def _():
    shown = admin.actions.info(made["id"])
    equal([shown["type"], shown["active"], shown["lock"]], ["interval", True, False])
    refused(lambda: admin.actions.info(NOWHERE), "^Action Not Found$")
    guarded(lambda by: by.actions.info(made["id"]), "access", "action")


@works("actions.edit")
def _():
    edited = admin.actions.edit(made["id"], {"active": False})
    assert edited.startswith("Action Successfully Updated"), edited
    refused(lambda: admin.actions.edit(made["id"], {"type": "schedule"}), "trigger")
    guarded(lambda by: by.actions.edit(made["id"], {"active": True}), "edit", "action")


@works("actions.delete")
def _():
    guarded(lambda by: by.actions.delete(made["id"]), "delete", "action")
    equal(admin.actions.delete(made["id"]), "Action Successfully Deleted")
    refused(lambda: admin.actions.delete(made["id"]), "^Action Not Found$")


GONE = "^Access Management Not Found$"
ALLOW = {"effect": "allow", "action": ["access"], "resource": ["secrets", "tag_match", "team"]}


def policy(name, tags):
    targets = [["analysis", "id", analysis]]
    return {"name": name, "tags": tags, "targets": targets, "permissions": [ALLOW]}


@works("accessManagement.list")
def _():
    def make(name, tags):
        admin.access.create(policy(name, tags))

    lists(lambda by, query: by.access.list(query), "name", make)


@works("accessManagement.create")
def _():
    made["id"] = admin.access.create(policy("methods", []))["am_id"]
    wrong = {**policy("x", []), "permissions": [{**ALLOW, "effect": "denied"}]}
    refused(lambda: admin.access.create(wrong), r"permissions\[0\]\.effect")
    guarded(lambda by: by.access.create(policy("x", [])), "create", "access_management")


@works("accessManagement.info")
def _():
    shown = admin.access.info(made["id"])
    equal([shown["permissions"], shown["active"]], [[ALLOW], True])
    refused(lambda: admin.access.info(NOWHERE), GONE)
    guarded(lambda by: by.access.info(made["id"]), "access", "access_management")


@works("accessManagement.edit")
def _():
    edited = admin.access.edit(made["id"], {"active": False})
    equal(edited, "Access Management Successfully Updated")
    wrong = {"targets": [["device"]]}
    refused(lambda: admin.access.edit(made["id"], wrong), r"targets\[0\]")
    guarded(lambda by: by.access.edit(made["id"], {"active": True}), "edit", "access_management")


@works("accessManagement.delete")
def _():
    guarded(lambda by: by.access.delete(made["id"]), "delete", "access_management")
    equal(admin.access.delete(made["id"]), "Access Management Successfully Deleted")
    refused(lambda: admin.access.delete(made["id"]), GONE)
