import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import Conflict, FileTooLarge, GatewayError, InvalidRequest, NotFound, RateLimited
from gateway.multipart import Part
from gateway.uploads import MAX_OPEN, MAX_PARTS, PURPOSES
from tests.fake_uploads import NOW, Caller, data

UNKNOWN = "upload_" + "0" * 32


def refused(kind: type[GatewayError], call: Callable[..., Any], *args: Any, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        call(*args, **more)
    assert type(caught.value) is kind
    return caught.value


def test_a_new_upload_is_pending_for_an_hour_and_has_no_file() -> None:
    body = {"bytes": 6, "filename": "a.mp3", "mime_type": "audio/mpeg", "purpose": "user_data"}
    upload = Caller().uploads.create(body)
    assert upload.pop("id").startswith("upload_")
    assert upload == {
        "object": "upload",
        "bytes": 6,
        "created_at": NOW,
        "expires_at": NOW + 3600,
        "filename": "a.mp3",
        "purpose": "user_data",
        "status": "pending",
        "file": None,
    }


def test_a_part_names_its_upload() -> None:
    caller = Caller()
    upload_id = caller.create()
    part = caller.uploads.add_part(upload_id, [data(b"abc")])
    assert part.pop("id").startswith("part_")
    assert part == {"object": "upload.part", "created_at": NOW, "upload_id": upload_id}


def test_a_completed_upload_holds_a_file_that_opens_as_its_parts_in_the_callers_order() -> None:
    caller = Caller()
    upload_id, (first, second) = caller.upload(b"def", b"abc")
    upload = caller.complete(upload_id, [second, first])
    file = upload["file"]
    assert upload["status"] == "completed"
    assert {**file, "id": ""} == {
        "id": "",
        "object": "file",
        "bytes": 6,
        "created_at": NOW,
        "expires_at": NOW + 3600,
        "filename": "talk.mp3",
        "purpose": "user_data",
        "status": "processed",
        "status_details": None,
    }
    for name in (file["id"], upload_id):
        content, media_type = caller.uploads.open_file(name)
        assert (bytes(content), media_type) == (b"abcdef", "audio/mpeg")


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"bytes": 26_214_401}, FileTooLarge, "bytes"),
        ({"bytes": 0}, InvalidRequest, "bytes"),
        ({"bytes": -1}, InvalidRequest, "bytes"),
        ({"bytes": True}, InvalidRequest, "bytes"),
        ({"bytes": "6"}, InvalidRequest, "bytes"),
        ({"bytes": 6.0}, InvalidRequest, "bytes"),
        ({"bytes": None}, InvalidRequest, "bytes"),
        ({"filename": ""}, InvalidRequest, "filename"),
        ({"filename": None}, InvalidRequest, "filename"),
        ({"filename": "a" * 256}, InvalidRequest, "filename"),
        ({"filename": "\ud800.mp3"}, InvalidRequest, "filename"),
        ({"mime_type": "mp3"}, InvalidRequest, "mime_type"),
        ({"mime_type": None}, InvalidRequest, "mime_type"),
        ({"mime_type": "audio/mpeg\r\nx: y"}, InvalidRequest, "mime_type"),
        ({"purpose": "transcription"}, InvalidRequest, "purpose"),
        ({"purpose": ["user_data"]}, InvalidRequest, "purpose"),
    ],
)
def test_a_bad_field_of_a_new_upload_is_named(
    changes: dict[str, Any], kind: type[GatewayError], param: str
) -> None:
    assert refused(kind, Caller().create, **changes).param == param


def test_the_largest_file_is_exactly_25_mb() -> None:
    assert Caller().create(26_214_400)


def test_an_unknown_purpose_is_refused_with_the_list_of_known_ones() -> None:
    message = refused(InvalidRequest, Caller().create, purpose="music").message
    assert all(purpose in message for purpose in PURPOSES)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_of_the_sdk_is_accepted(purpose: str) -> None:
    assert Caller().create(purpose=purpose)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "C:\\con.mp3", "a\x00b", "/", "..", "naïve \U0001f600"]
)
def test_a_filename_is_echoed_and_used_for_nothing_else(name: str) -> None:
    caller = Caller()
    body = {"bytes": 1, "filename": name, "mime_type": "audio/mpeg", "purpose": "user_data"}
    assert caller.uploads.create(body)["filename"] == name
    assert not caller.store.objects


def test_parameters_of_the_media_type_are_dropped() -> None:
    caller = Caller()
    upload_id = caller.create(1, mime_type="Audio/OGG; codecs=opus")
    caller.complete(upload_id, [caller.send(upload_id, b"a")])
    assert caller.uploads.open_file(upload_id)[1] == "audio/ogg"


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_body_that_is_not_an_object_is_refused(body: Any) -> None:
    caller = Caller()
    refused(InvalidRequest, caller.uploads.create, body)
    refused(InvalidRequest, caller.uploads.complete, caller.create(), body)


def test_the_twenty_first_open_upload_is_refused_until_one_is_finished() -> None:
    caller = Caller()
    open_ids = [caller.create(1) for _ in range(MAX_OPEN)]
    caller.now = NOW + 600
    error = refused(RateLimited, caller.create)
    assert error.code == "quota_exceeded"
    assert error.headers == {"retry-after": "3000", "x-should-retry": "false"}
    caller.uploads.cancel(open_ids[0])
    assert caller.create()
    caller.complete(open_ids[1], [caller.send(open_ids[1], b"a")])
    assert caller.create()
    refused(RateLimited, caller.create)


def test_expired_uploads_are_not_open() -> None:
    caller = Caller()
    for _ in range(MAX_OPEN):
        caller.create()
    caller.now = NOW + 3600
    assert caller.create()


def test_another_user_has_their_own_places() -> None:
    alice = Caller()
    for _ in range(MAX_OPEN):
        alice.create()
    assert Caller(alice.store, "bob").create()


def test_the_same_part_sent_twice_is_one_part() -> None:
    caller = Caller()
    upload_id = caller.create(6)
    first = caller.uploads.add_part(upload_id, [data(b"abcdef")])
    caller.now += 60
    assert caller.uploads.add_part(upload_id, [data(b"abcdef")]) == first
    assert caller.complete(upload_id, [first["id"]])["status"] == "completed"


def test_two_equal_stretches_of_bytes_are_one_part_listed_twice() -> None:
    caller = Caller()
    upload_id = caller.create(6)
    silence, again = caller.send(upload_id, b"\0\0\0"), caller.send(upload_id, b"\0\0\0")
    caller.complete(upload_id, [silence, again])
    assert caller.uploads.open_file(upload_id)[0] == b"\0" * 6


def test_equal_parts_of_different_uploads_have_different_ids() -> None:
    caller = Caller()
    assert caller.send(caller.create(), b"abc") != caller.send(caller.create(), b"abc")


@pytest.mark.parametrize("form", [[], [data(b"")], [data(b"a", "file")], [data(b"a"), data(b"b")]])
def test_a_part_without_exactly_one_data_field_is_refused(form: list[Part]) -> None:
    caller = Caller()
    assert refused(InvalidRequest, caller.uploads.add_part, caller.create(), form).param == "data"


def test_a_part_over_the_limit_of_one_request_is_too_large() -> None:
    caller = Caller(part_bytes=3)
    upload_id = caller.create(6)
    assert caller.send(upload_id, b"abc")
    error = refused(FileTooLarge, caller.send, upload_id, b"defg")
    assert error.param == "data"
    assert "3 bytes" in error.message


def test_more_bytes_than_declared_are_refused_at_the_part_and_not_kept() -> None:
    caller = Caller()
    upload_id = caller.create(6)
    kept = caller.send(upload_id, b"abcd")
    error = refused(InvalidRequest, caller.send, upload_id, b"efg")
    assert error.param == "data"
    assert "7 bytes" in error.message
    assert list(caller.store.objects) == [(upload_id, kept)]


def test_the_part_after_the_hundredth_is_refused_with_the_limit() -> None:
    caller = Caller()
    upload_id = caller.create(1000)
    for number in range(MAX_PARTS):
        caller.send(upload_id, bytes([number]))
    assert str(MAX_PARTS) in refused(InvalidRequest, caller.send, upload_id, b"more").message


def test_a_part_that_loses_a_race_for_the_last_bytes_is_refused() -> None:
    caller = Caller()
    upload_id = caller.create(4)
    caller.store.meanwhile = lambda: caller.send(upload_id, b"abc")
    refused(InvalidRequest, caller.send, upload_id, b"de")


def test_a_part_that_arrives_twice_at_once_is_one_part() -> None:
    caller = Caller()
    upload_id = caller.create(3)
    caller.store.meanwhile = lambda: caller.send(upload_id, b"abc")
    part_id = caller.send(upload_id, b"abc")
    assert caller.complete(upload_id, [part_id])["status"] == "completed"


def test_a_part_that_arrives_as_the_upload_is_cancelled_is_refused() -> None:
    caller = Caller()
    upload_id = caller.create()
    caller.store.meanwhile = lambda: caller.uploads.cancel(upload_id)
    refused(Conflict, caller.send, upload_id, b"abc")


def test_an_identical_complete_gives_the_same_answer() -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc", b"def")
    md5 = hashlib.md5(b"abcdef").hexdigest()
    first = caller.complete(upload_id, part_ids, md5=md5)
    caller.now += 60
    assert caller.complete(upload_id, part_ids, md5=md5.upper()) == first


def test_two_identical_completes_at_once_both_succeed() -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc")
    caller.store.meanwhile = lambda: caller.complete(upload_id, part_ids)
    assert caller.complete(upload_id, part_ids)["status"] == "completed"


def test_another_complete_of_a_completed_upload_is_a_conflict_that_is_not_retried() -> None:
    caller = Caller()
    upload_id, (first, second) = caller.upload(b"abc", b"def")
    caller.complete(upload_id, [first, second])
    error = refused(Conflict, caller.complete, upload_id, [second, first])
    assert "completed" in error.message
    assert error.headers == {"x-should-retry": "false"}


@pytest.mark.parametrize("part_ids", [None, [], "part_1", [1], [["part_1"]], ["p"] * (MAX_PARTS + 1)])
def test_part_ids_must_be_a_list_of_1_to_100_ids(part_ids: Any) -> None:
    caller = Caller()
    assert refused(InvalidRequest, caller.complete, caller.create(), part_ids).param == "part_ids"


def test_a_part_that_never_arrived_is_named_by_its_position() -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc")
    _, other = caller.upload(b"abc")
    error = refused(InvalidRequest, caller.complete, upload_id, part_ids + other)
    assert "part_ids[1]" in error.message
    assert caller.complete(upload_id, part_ids)["status"] == "completed"


def test_a_total_that_was_not_declared_is_refused_with_both_figures() -> None:
    caller = Caller()
    upload_id = caller.create(6)
    message = refused(InvalidRequest, caller.complete, upload_id, [caller.send(upload_id, b"abcd")]).message
    assert "4 bytes" in message
    assert "6 were declared" in message


def test_a_missing_part_is_noticed_even_if_the_total_is_right() -> None:
    caller = Caller()
    upload_id, (first, _) = caller.upload(b"abc", b"def")
    assert (
        "1 of the uploaded parts"
        in refused(InvalidRequest, caller.complete, upload_id, [first, first]).message
    )


@pytest.mark.parametrize("md5", ["", "abc", 1, "g" * 32])
def test_an_invalid_md5_is_refused(md5: Any) -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc")
    assert refused(InvalidRequest, caller.complete, upload_id, part_ids, md5=md5).param == "md5"


def test_a_wrong_md5_leaves_the_upload_pending() -> None:
    caller = Caller()
    upload_id, (first, second) = caller.upload(b"abc", b"def")
    md5 = hashlib.md5(b"abcdef").hexdigest()
    error = refused(InvalidRequest, caller.complete, upload_id, [second, first], md5=md5)
    assert error.param == "md5"
    assert caller.complete(upload_id, [first, second], md5=md5)["status"] == "completed"


def test_cancelling_deletes_the_bytes_and_may_be_repeated() -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc")
    cancelled = caller.uploads.cancel(upload_id)
    assert cancelled["status"] == "cancelled"
    assert caller.uploads.cancel(upload_id) == cancelled
    assert not caller.store.objects
    refused(Conflict, caller.send, upload_id, b"abc")
    refused(Conflict, caller.complete, upload_id, part_ids)
    refused(NotFound, caller.uploads.open_file, upload_id)


def test_a_completed_upload_accepts_no_part_and_cannot_be_cancelled() -> None:
    caller = Caller()
    upload_id, part_ids = caller.upload(b"abc")
    caller.complete(upload_id, part_ids)
    refused(Conflict, caller.send, upload_id, b"abc")
    refused(Conflict, caller.uploads.cancel, upload_id)


def test_an_upload_cannot_be_used_after_an_hour() -> None:
    caller = Caller()
    done, done_parts = caller.upload(b"abc")
    caller.complete(done, done_parts)
    upload_id, part_ids = caller.upload(b"abc")
    caller.now = NOW + 3599
    assert caller.uploads.open_file(done)
    caller.now = NOW + 3600
    refused(NotFound, caller.uploads.open_file, done)
    for call in (
        lambda: caller.complete(done, done_parts),
        lambda: caller.complete(upload_id, part_ids),
        lambda: caller.send(upload_id, b"abc"),
        lambda: caller.uploads.cancel(upload_id),
    ):
        assert "expired" in refused(Conflict, call).message


@pytest.mark.parametrize(
    "upload_id", [UNKNOWN, "", "x", "upload_", "../upload_1", "upload_" + "A" * 32, "\ud800"]
)
def test_an_unknown_upload_is_not_found(upload_id: str) -> None:
    caller = Caller()
    refused(NotFound, caller.send, upload_id, b"abc")
    refused(NotFound, caller.complete, upload_id, ["part_1"])
    refused(NotFound, caller.uploads.cancel, upload_id)


def test_another_users_upload_is_as_unknown_as_one_that_never_existed() -> None:
    alice = Caller()
    bob = Caller(alice.store, "bob")
    upload_id, part_ids = alice.upload(b"abc")
    file_id = alice.complete(upload_id, part_ids)["file"]["id"]
    never = refused(NotFound, bob.uploads.cancel, UNKNOWN).envelope()
    assert refused(NotFound, bob.uploads.cancel, upload_id).envelope() == never
    assert refused(NotFound, bob.complete, upload_id, part_ids).envelope() == never
    assert refused(NotFound, bob.send, upload_id, b"abc").envelope() == never
    unknown = refused(NotFound, bob.uploads.open_file, "file-" + "0" * 32)
    assert refused(NotFound, bob.uploads.open_file, file_id).envelope() == unknown.envelope()
    assert unknown.param == "file_id"


@pytest.mark.parametrize("file_id", ["", "file-", "file-x", "\ud800", "part_" + "0" * 32, "file-" + "0" * 33])
def test_a_file_id_in_another_format_is_not_found(file_id: str) -> None:
    assert refused(NotFound, Caller().uploads.open_file, file_id).param == "file_id"


def test_a_file_cannot_be_opened_before_its_upload_is_complete() -> None:
    caller = Caller()
    upload_id, _ = caller.upload(b"abc")
    refused(NotFound, caller.uploads.open_file, upload_id)
    refused(NotFound, caller.uploads.open_file, upload_id.replace("upload_", "file-"))
