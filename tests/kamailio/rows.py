"""The rows of the matrix: what must work, in words, and the tests that show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    group: str
    title: str
    tests: tuple
    # Ways of agreeing on keys for which the case exists.
    keys: tuple = ("DTLS", "SDES")


def rows(group, *entries, keys=("DTLS", "SDES")):
    return [Row(group, title, tuple(tests), keys) for title, *tests in entries]


CALLS, CHANGES, UIC, BIC = (
    "test_calls.Calls", "test_changes.Changes", "test_scripts.UserInitiated", "test_scripts.BusinessInitiated")
BAD = "test_bad_input.BadInput"

ROWS = [
    *rows(
        "calls with a tone each way, simulator and baresip",
        ("user-initiated, BYE of the user", f"{CALLS}.test_user_initiated_ended_by_the_user"),
        ("user-initiated, BYE of the PBX", f"{CALLS}.test_user_initiated_ended_by_the_pbx"),
        ("business-initiated, BYE of the user", f"{CALLS}.test_business_initiated_ended_by_the_user"),
        ("business-initiated, BYE of the PBX", f"{CALLS}.test_business_initiated_ended_by_the_pbx"),
        ("BYE of Meta by a new connection", f"{CALLS}.test_metas_bye_comes_by_a_new_connection"),
        ("Route in the INVITE, trunk group, user id, INVITE twice", f"{CALLS}.test_an_invite_of_meta_as_its_samples_have_it"),
        ("407 with SHA-256, and with MD5 and SHA-256", f"{CALLS}.test_challenges_of_both_algorithms_with_audio_after_them"),
        ("Meta deaf for 0.7 s after the answer", f"{CALLS}.test_meta_is_deaf_for_a_while_after_the_answer"),
    ),
    *rows(
        "calls with a tone each way, simulator and baresip",
        ("Meta answers with setup:passive", f"{CALLS}.test_meta_in_the_passive_role"),
        keys=("DTLS",)),
    *rows(
        "user-initiated, message by message",
        ("the SDP answer has the keys that Meta offered, active role", f"{UIC}.test_meta_gets_keys_as_it_offered_them"),
        ("183 of the PBX: Meta gets 180 and nothing of the media before 200",
         f"{UIC}.test_nothing_reaches_meta_before_the_answer_but_ringing"),
        ("preloaded Route, user parameters, headers of Meta", f"{UIC}.test_headers_of_meta_are_renamed_or_kept_back"),
        ("CANCEL of the user", f"{UIC}.test_cancel_ends_both_sides"),
        ("BYE of the PBX opens a connection to Meta, with its name", f"{UIC}.test_a_hang_up_of_the_pbx_opens_a_connection_to_meta"),
        ("no ACK of Meta", f"{UIC}.test_without_an_ack_of_meta_the_call_still_ends_for_both"),
        ("INVITE twice makes one call", f"{UIC}.test_the_same_invite_twice_makes_one_call"),
        ("wrong password", f"{UIC}.test_a_wrong_password_is_refused_and_costs_nothing"),
        ("password of another number", f"{UIC}.test_the_password_of_another_number_is_refused"),
        ("every failure of the PBX becomes what Meta knows", f"{UIC}.test_failures_of_the_pbx_become_what_meta_knows"),
        ("a silent PBX target is known by OPTIONS before a caller waits",
         "test_scripts.AskedTargets.test_a_silent_pbx_is_known_before_a_caller_waits_and_one_that_is_back_gets_calls"),
        ("several PBX targets; limit of calls per number",
         "test_scripts.SeveralTargets.test_the_next_pbx_is_tried_and_a_silent_one_is_remembered"),
    ),
    *rows(
        "business-initiated, message by message",
        ("the SDP offer has the keys of the number", f"{BIC}.test_meta_is_offered_the_keys_of_the_number"),
        ("INVITE in the form of Meta's samples; the PBX sees its own",
         f"{BIC}.test_the_call_has_the_form_of_metas_samples_and_the_pbx_sees_its_own"),
        ("183 of Meta has the media of the 200", f"{BIC}.test_early_media_of_meta_and_its_answer_are_the_same_to_the_pbx"),
        ("407 with MD5, SHA-256, and both in either order", f"{BIC}.test_a_challenge_with_sha_256_is_answered",
         f"{BIC}.test_the_call_has_the_form_of_metas_samples_and_the_pbx_sees_its_own"),
        ("wrong password: one retry, then 500", f"{BIC}.test_a_second_challenge_means_a_wrong_password"),
        ("CANCEL of the PBX, with MD5 and SHA-256", f"{BIC}.test_a_cancel_reaches_meta_with_the_number_of_the_second_invite"),
        ("no ACK of the PBX, then BYE of the user", f"{BIC}.test_without_an_ack_of_the_pbx_metas_bye_is_passed"),
        ("BYE of the user", f"{BIC}.test_a_hang_up_of_the_user_reaches_the_pbx_in_its_own_names"),
        ("hold, then BYE of the PBX", f"{BIC}.test_what_the_pbx_changes_stays_here_and_the_bye_still_fits"),
        ("every refusal of Meta, mapped, with its phrase", f"{BIC}.test_refusals_of_meta_reach_the_pbx_mapped_with_metas_phrase"),
        ("no permission, daily limit, Retry-After: not asked again for a while",
         "test_scripts.BackOff.test_what_meta_refused_is_refused_here_for_a_while",
         "test_scripts.BackOff.test_other_refusals_are_asked_of_meta_each_time"),
        ("Meta silent; Meta not there", f"{BIC}.test_a_meta_that_says_nothing_or_is_not_there_is_503"),
        ("certificate of another name: no password is used", f"{BIC}.test_no_password_is_used_when_the_certificate_has_another_name"),
        ("self-signed certificate", f"{BIC}.test_nothing_is_said_to_a_peer_that_nobody_vouches_for"),
        ("only E.164 numbers and user ids are dialled", f"{BIC}.test_only_e164_numbers_and_user_ids_are_called"),
    ),
    *rows(
        "changes of the PBX with a tone each way; nothing reaches Meta",
        ("hold and resume by baresip", "test_hold.Hold.test_meta_sees_no_renegotiation_and_hears_the_agent_again"),
        ("hold (sendonly) and resume", f"{CHANGES}.test_hold_for_a_while_and_resume"),
        ("hold (inactive) and resume", f"{CHANGES}.test_inactive_hold_and_resume"),
        ("new port", f"{CHANGES}.test_another_port"),
        ("new address", f"{CHANGES}.test_another_address"),
        ("UPDATE with a new port", f"{CHANGES}.test_update_with_another_port"),
        ("fewer codecs", f"{CHANGES}.test_fewer_codecs"),
        ("another codec and back, the relay transcodes", f"{CHANGES}.test_another_codec_and_back"),
        ("a PBX without Opus: hold, resume, INVITE without SDP",
         f"{CHANGES}.test_a_pbx_without_opus_holds_resumes_and_asks_for_an_offer"),
        ("session timer refreshed by INVITE and by UPDATE", f"{CHANGES}.test_a_refresh_of_the_session_timer_by_invite_and_by_update"),
        ("INVITE without SDP, answer in the ACK", f"{CHANGES}.test_an_invite_without_sdp_gets_an_offer_and_the_answer_is_in_the_ack"),
        ("REFER refused, the call goes on", f"{CHANGES}.test_a_transfer_is_refused_and_the_call_goes_on"),
        ("INFO, OPTIONS, MESSAGE, NOTIFY, SUBSCRIBE", f"{CHANGES}.test_messages_that_meta_does_not_know_are_answered_here"),
        ("no answer of the proxy is repeated after its ACK",
         "test_scripts.Shield.test_meta_sees_nothing_of_hold_resume_transfer_and_refresh"),
    ),
    *rows(
        "recording and announcement of a number, simulator and baresip",
        ("user-initiated: the prompt, keys, the recording and its vCon", "test_recording.Recording.test_a_user_who_calls"),
        ("business-initiated: the prompt, keys, the recording and its vCon", "test_recording.Recording.test_a_user_who_is_called"),
    ),
    *rows(
        "relays",
        ("refused for any reason: 503 with Retry-After, both sides",
         "test_relays.OneRelay.test_every_refusal_of_the_relay_is_503_for_both_sides"),
        ("silent: 503, both sides", "test_relays.OneRelay.test_a_silent_relay_costs_seconds_and_ends_in_the_same_answer"),
        ("two, one with \"Parallel session limit reached\"", "test_relays.FullRelay.test_calls_go_to_the_relay_that_takes_them"),
        ("two, one with \"Ran out of ports\"", "test_relays.RelayWithoutPorts.test_calls_go_to_the_relay_that_takes_them"),
        ("two, one with \"load limit\"", "test_relays.LoadedRelay.test_calls_go_to_the_relay_that_takes_them"),
        ("two, one silent", "test_relays.SilentRelay.test_calls_go_to_the_relay_that_takes_them"),
        ("two: a call stays with its relay, hold and hang-up included",
         "test_relays.TwoRelays.test_1_a_call_stays_with_its_relay_from_the_offer_to_the_delete"),
        ("two sets: a number has its own, hold and hang-up included",
         "test_relays.RelaySets.test_a_number_has_its_own_relays_for_the_whole_call"),
        ("two: one is drained", "test_relays.TwoRelays.test_2_a_drained_relay_keeps_its_calls_and_gets_no_more"),
        ("two: one dies in mid-call", "test_relays.TwoRelays.test_3_a_relay_that_dies_takes_its_calls_along_and_no_others"),
        ("the only one dies in mid-call",
         "test_relays.RelayIsDown.test_both_sides_get_503_and_a_call_that_cannot_be_answered_ends"),
    ),
    *rows(
        "operations",
        ("relay gone and back: known before anybody calls",
         "test_operations.RelayThatComesBack.test_a_relay_that_is_back_gets_calls_without_a_caller_finding_out"),
        ("counters of calls and of our refusals", "test_operations.Operations.test_every_end_of_a_call_has_its_counter"),
        ("counters of Meta's refusals, Warning and Retry-After kept",
         "test_operations.Operations.test_every_refusal_of_meta_has_its_counter"),
        ("metrics are not shown on Meta's socket",
         "test_operations.Operations.test_metrics_are_not_for_those_who_connect_to_the_socket_for_meta"),
        ("new certificate, and calls go on (Kamailio reloads it, OpenSIPS restarts)",
         "test_operations.Operations.test_a_new_certificate_is_taken_and_a_call_goes_on"),
    ),
    *rows(
        "bad input; no session in the relay",
        ("OPTIONS on both sides", f"{BAD}.test_options_are_answered_on_both_sides"),
        ("unknown business number", f"{BAD}.test_an_unknown_business_number_is_not_even_challenged"),
        ("no credentials", f"{BAD}.test_a_user_without_credentials_reaches_nobody"),
        ("source in no list", f"{BAD}.test_a_source_outside_the_lists_is_refused"),
        ("no SDP, no audio, no sense in the body", f"{BAD}.test_an_invite_without_sdp_or_without_audio_is_refused"),
        ("malformed messages", f"{BAD}.test_malformed_messages_are_refused_or_dropped"),
        ("Max-Forwards 0", f"{BAD}.test_max_forwards_runs_out"),
        ("50 kB of headers", f"{BAD}.test_fifty_kilobytes_of_headers_are_refused"),
        ("headers without end", f"{BAD}.test_endless_headers_do_not_hold_the_server"),
        ("six at a time begin TLS for four seconds", f"{BAD}.test_many_who_begin_tls_at_the_same_time_do_not_end_the_server"),
        ("other methods", f"{BAD}.test_methods_that_make_no_call_are_not_let_in"),
        ("requests of unknown calls", f"{BAD}.test_requests_of_unknown_calls_go_nowhere"),
        ("200 INVITEs a second from Meta's side",
         "test_bad_input.Flood.test_two_hundred_invites_a_second_from_meta_side_cost_no_port"),
        ("300 INVITEs at once from the PBX's side",
         "test_bad_input.Flood.test_a_source_that_calls_too_often_is_told_to_wait_and_costs_no_port"),
    ),
]
