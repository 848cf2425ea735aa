"""The rows of the matrix: what must work, in words, and the tests that show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    group: str
    title: str
    tests: tuple
    # Ways of agreeing on keys for which the case exists.
    keys: tuple = ("DTLS", "SDES")


def rows(group, *entries):
    return [Row(group, title, tuple(tests)) for title, *tests in entries]


UIC, BIC = "test_scripts.UserInitiated", "test_scripts.BusinessInitiated"

ROWS = [
    *rows(
        "user-initiated",
        ("the SDP answer has the keys that Meta offered, active role", f"{UIC}.test_meta_gets_keys_as_it_offered_them"),
        ("183 of the PBX: Meta gets 180 and nothing of the media before 200",
         f"{UIC}.test_nothing_reaches_meta_before_the_answer_but_ringing"),
        ("preloaded Route, user parameters, headers of Meta", f"{UIC}.test_headers_of_meta_are_renamed_or_kept_back"),
        ("CANCEL of the user", f"{UIC}.test_cancel_ends_both_sides"),
        ("BYE of the PBX opens a connection to Meta, with its name", f"{UIC}.test_a_hang_up_of_the_pbx_opens_a_connection_to_meta"),
        ("wrong password", f"{UIC}.test_a_wrong_password_is_refused_and_costs_nothing"),
        ("password of another number", f"{UIC}.test_the_password_of_another_number_is_refused"),
        ("failures of the PBX become what Meta knows", f"{UIC}.test_failures_of_the_pbx_become_what_meta_knows"),
        ("several PBX targets; limit of calls per number",
         "test_scripts.SeveralTargets.test_the_next_pbx_is_tried_and_a_silent_one_is_remembered"),
    ),
    *rows(
        "business-initiated",
        ("the SDP offer has the keys of the number", f"{BIC}.test_meta_is_offered_the_keys_of_the_number"),
        ("INVITE in the form of Meta's samples; the PBX sees its own",
         f"{BIC}.test_the_call_has_the_form_of_metas_samples_and_the_pbx_sees_its_own"),
        ("407 with MD5, SHA-256, both", f"{BIC}.test_a_challenge_with_sha_256_is_answered",
         f"{BIC}.test_the_call_has_the_form_of_metas_samples_and_the_pbx_sees_its_own"),
        ("wrong password: one retry, then 500", f"{BIC}.test_a_second_challenge_means_a_wrong_password"),
        ("CANCEL of the PBX, with MD5 and SHA-256", f"{BIC}.test_a_cancel_reaches_meta_with_the_number_of_the_second_invite"),
        ("BYE of the user", f"{BIC}.test_a_hang_up_of_the_user_reaches_the_pbx_in_its_own_names"),
        ("hold, then BYE of the PBX", f"{BIC}.test_what_the_pbx_changes_stays_here_and_the_bye_still_fits"),
        ("every refusal of Meta, mapped, with its phrase", f"{BIC}.test_refusals_of_meta_reach_the_pbx_mapped_with_metas_phrase"),
        ("certificate of another name: no password is used", f"{BIC}.test_no_password_is_used_when_the_certificate_has_another_name"),
        ("self-signed certificate", f"{BIC}.test_nothing_is_said_to_a_peer_that_nobody_vouches_for"),
        ("only E.164 numbers are dialled", f"{BIC}.test_only_e164_numbers_are_called"),
    ),
    *rows(
        "changes of the PBX, of which nothing reaches Meta",
        ("hold and resume with audio, both directions of call",
         "test_hold.Hold.test_meta_sees_no_renegotiation_and_hears_the_agent_again"),
        ("hold, resume, new port, UPDATE, INFO, REFER, late offer: messages",
         "test_scripts.Shield.test_meta_sees_nothing_of_hold_resume_transfer_and_refresh"),
    ),
    *rows(
        "relays",
        ("relay dies in mid-call; none is left",
         "test_scripts.RelayIsDown.test_both_sides_get_503_and_a_call_that_cannot_be_answered_ends"),
    ),
    *rows(
        "bad input",
        ("too many INVITEs a second: 503, no port taken",
         "test_scripts.Flood.test_a_source_that_calls_too_often_is_told_to_wait_and_costs_no_port"),
    ),
]
