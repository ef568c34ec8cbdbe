"""Secrets."""

from datetime import datetime

from scene import NOWHERE, admin, equal, guarded, lists, refused, works

TAGS = [{"key": "env", "value": "prod"}]
VALUE = "a value that nobody reads"
made = {}


def new(key, tags):
    return admin.secrets.create({"key": key, "value": VALUE, "tags": tags})


@works("secrets.list")
def _():
    lists(lambda by, query: by.secrets.list(query), "key", new)


@works("secrets.create")
def _():
    made["id"] = new("METHODS", TAGS)["id"]
    refused(lambda: new("METHODS", TAGS), "METHODS exists")
    refused(lambda: new("A B", TAGS), '"A B" is not allowed')
    refused(lambda: admin.secrets.create({"key": "X", "tags": TAGS}), "missing field `value`")
    secret = {"key": "OTHER", "value": VALUE, "tags": TAGS}
    guarded(lambda by: by.secrets.create(secret), "create", "secrets")


@works("secrets.info")
def _():
    shown = admin.secrets.info(made["id"])
    equal([shown["key"], shown["tags"], shown["value_length"]], ["METHODS", TAGS, len(VALUE)])
    assert "value" not in shown
    assert isinstance(shown["created_at"], datetime)
    refused(lambda: admin.secrets.info(NOWHERE), "^Secret Not Found$")
    guarded(lambda by: by.secrets.info(made["id"]), "access", "secrets")


@works("secrets.edit")
def _():
    equal(admin.secrets.edit(made["id"], {"value": "ä longer"}), "Successfully Updated")
    equal(admin.secrets.info(made["id"])["value_length"], 8)
    refused(lambda: admin.secrets.edit(made["id"], {"key": "RENAMED"}), "unknown field `key`")
    guarded(lambda by: by.secrets.edit(made["id"], {"value": VALUE}), "edit", "secrets")


@works("secrets.delete")
def _():
    guarded(lambda by: by.secrets.delete(made["id"]), "delete", "secrets")
    equal(admin.secrets.delete(made["id"]), "Successfully Removed")
    refused(lambda: admin.secrets.delete(made["id"]), "^Secret Not Found$")
