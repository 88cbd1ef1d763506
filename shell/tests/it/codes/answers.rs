//! How each code is provoked: a new code needs an answer here before the tests compile.

use std::{fs, path::Path};

use pulse::catalogue::Code;

use crate::support::workspace;

/// How a code is provoked.
pub(super) enum Answer {
    /// By a function of this module's parent.
    Here,
    /// By the test with this name, of `it` or of a package.
    Test(&'static str),
    /// By no test, for this reason.
    OutOfReach(#[expect(dead_code, reason = "for the reader")] &'static str),
}

/// Answers how `code` is provoked.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "an answer for each code")]
pub(super) fn answer(code: Code) -> Answer {
    use Answer::*;
    use Code::*;
    match code {
        AtomConflict | AtomEncode | AtomRefused | AuthWorkerFailed | ConfigMissing | ConfigUnreadable |
        Conflict | DuplicateName | FrameFailed | FramePanicked | HostSharedUnknown | HostSharedVersion |
        HostUnsatisfied | InitFailed | InitPanicked | InspectionNotLocal | LibraryRefused | LibrarySymbol |
        LibraryVersion | NameReserved | NewFailed | NewPanicked | NoProvider | NoThread | NotShared |
        Output | OwnCopy | PanicAbort | ProviderRefused | RangeAlternatives | RangeBareVersion |
        RangeSyntax | RangeTooLong | RetireFailed | RetireHung | RetirePanicked | SeparateScopes |
        SharedKeySimilar | UsedBeforeNegotiation | VersionMismatch | VersionMismatchStrict |
        WindowLibrary | WindowRefused | WindowScale | WindowWayland => Here,
        AliasDuplicate => Test("the_second_alias_of_a_remote_is_refused_and_the_first_runs"),
        CodeUnknown => Test("a_code_is_explained"),
        ConfigNoHome | LogFilterInvalid | VariableFormer
            => Test("settings_of_the_environment_are_understood_or_reported"),
        ConfigUntrusted | AuthTokenWithheld
            => Test("an_installation_has_a_manifest_if_others_cannot_write_there"),
        CrateUnknown | ScopeUnknown => Test("an_explanation_is_for_crates_that_there_are"),
        DataInUse => Test("data_of_a_running_earlier_version_is_left_to_it"),
        DataNotTaken => Test("data_that_cannot_be_moved_is_reported"),
        LocationUnsupported => Test("a_location_that_is_a_url"),
        RemoteUnknown => Test("a_library_is_installed_and_enabled"),
        ManifestInvalid | ManifestNotJson => Test("a_manifest_inside_of_the_library_that_is_wrong"),
        ManifestMissing | ManifestUnreadable => Test("a_manifest_that_is_missing_or_unreadable"),
        ManifestName => Test("a_manifest_of_another_remote"),
        ManifestOfHost => Test("folders_and_libraries_are_read"),
        ManifestTooLarge => Test("a_manifest_that_is_not_json"),
        ManifestVersion => Test("a_manifest_of_a_later_format"),
        NotSingleton => Test("without_a_singleton_the_badge_is_amber_and_the_slot_says_why"),
        ProviderNotGranted => Test("a_remote_that_was_not_granted_it_provides_nothing"),
        AbiLayout => Test("another_layout_of_the_contract"),
        AbiRevision => Test("another_revision_of_the_contract"),
        CopyFailed => Test("copies_go_to_the_next_place_and_their_failure_is_theirs"),
        DescriptorMismatch => Test("a_descriptor_that_differs_from_the_manifest"),
        LibraryDamaged => Test("a_truncated_library"),
        LibraryMissing => Test("a_library_that_is_missing"),
        LibraryNotALibrary => Test("a_text_file_with_the_name_of_a_library"),
        LibraryNotAPlugin => Test("a_library_that_is_no_plugin"),
        LibraryOtherPlatform => Test("a_library_for_another_platform"),
        LibraryTooLarge | LibraryUnreadable => Test("pipe_device_or_link_loop_as_library"),
        ArchiveIndexDamaged => Test("a_damaged_index_is_told_and_the_objects_stay"),
        ArchiveUnavailable => Test("a_library_that_changes_meanwhile_is_not_kept"),
        ChoicesDamaged | ChoicesUnreadable
            => Test("what_cannot_be_read_is_told_and_what_cannot_be_written_holds"),
        ChoicesUnwritable => Test("held_lock_delays_only_the_writing_of_a_decision"),
        DecisionsUnknown => Test("remotes_do_not_start_while_decisions_are_unknown"),
        DigestMismatch => Test("a_manifest_is_installed_with_its_library"),
        FrameHung | InitHung | NewHung
            => Test("whoever_hangs_while_it_is_started_beside_the_old_one_is_not_taken"),
        GenerationDamaged | GenerationNoneOlder | GenerationUnknown
            => Test("generations_are_listed_and_gone_back_to"),
        InstallFailed | InstallOccupied => Test("what_cannot_be_used_is_not_installed"),
        LibraryLent => Test("consumer_stays_while_provider_keeps_its_callback"),
        LibraryPinned => Test("a_provider_that_is_started_anew_goes_on_providing_what_is_in_use"),
        LibrarySignals => Test("library_with_signal_handler_is_kept"),
        LibraryThreads => Test("a_thread_that_is_left_behind_keeps_the_library"),
        NotResponding => Test("a_remote_that_does_not_respond_is_told_of_and_can_be_started_anew"),
        RemoteDisabled | RemoteNotEnabled
            => Test("what_is_put_into_the_drop_folder_is_listed_and_runs_once_it_is_enabled"),
        RemoteFailing => Test("three_failures_disable_a_remote_and_that_is_remembered"),
        RemoteUntrusted => Test("a_library_that_others_can_change_does_not_run"),
        SafeMode => Test("a_shell_that_is_started_without_remotes_runs_those_that_are_enabled_then"),
        SaveHung | SavePanicked => Test("a_state_that_cannot_be_had_is_reported_and_the_remote_starts_fresh"),
        SessionDamaged => Test("damaged_files_are_told_and_count"),
        SessionUnwritable => Test("a_folder_that_is_out_of_reach_is_told_and_no_obstacle"),
        SurfaceFailing => Test("three_failures_of_a_surface_close_it_and_leave_the_others"),
        ProviderSlow => Test("a_provider_that_does_not_come_to_an_end_of_loading_is_not_waited_for"),
        SharedForged => Test("a_provider_that_hands_over_something_else_is_not_used"),
        SharedLayout => Test("a_library_that_fails_is_told_as_where_it_runs"),
        SharedMissing => Test("a_provider_without_the_crate_that_it_offers_is_said_once_and_planned_without"),
        SharedUsed => Test("error_in_init"),
        ClipboardRefused | LinkRefused | UserActionMissing => Test("links_that_are_not_of_the_web"),
        DataDir => Test("a_data_folder_that_cannot_be_made"),
        DragRefused => Test("what_one_remote_drags_another_takes"),
        ExposeUnknown => Test("an_expose_that_the_library_does_not_have"),
        FrameInvalid | FrameKept | FrameQuota | FrameTexture => Test("frames_that_break_a_rule"),
        LogSuppressed => Test("flood_of_a_remote_is_cut_and_does_not_touch_others"),
        PasteRefused => Test("images_and_the_request_to_paste"),
        PictureTooLarge => Test("picture_too_large_costs_only_itself"),
        RestoreFailed => Test("a_state_that_is_refused_is_reported_and_the_remote_starts_fresh"),
        RestorePanicked => Test("whoever_fails_while_it_is_started_beside_the_old_one_is_not_taken"),
        StateDamaged => Test("damaged_state_is_set_aside"),
        StateDropped => Test("state_that_does_harm_is_dropped_once"),
        StateTooLarge | StateUnwritable => Test("too_much_is_not_kept"),
        TreeUnreadable => Test("a_tree_that_nobody_can_read"),
        PreflightCancelled => Test("a_lost_shell_ends_the_trial"),
        PreflightCrashed => Test("a_library_that_crashes_takes_only_its_own_process_with_it"),
        PreflightExited => Test("ends_are_seen_where_signals_of_children_are_ignored"),
        PreflightForged => Test("a_forged_verdict_does_not_count"),
        PreflightHung => Test("the_command_answers_and_exits_as_it_says"),
        PreflightProvider => Test("a_provider_that_crashes_is_named"),
        PreflightUnavailable => Test("an_end_is_reported_with_its_stage"),
        AtomDecode => Test("a_newer_build_may_add_fields_and_an_older_one_goes_on_reading"),
        AtomNotGranted => Test("an_atom_that_was_not_asked_for"),
        AuthConfigInvalid => Test("the_user_address_is_built_from_the_base"),
        AuthForbidden | AuthNotFound | AuthRejected | AuthUnauthorized => Test("refusals_are_final"),
        AuthMalformed => Test("answers_that_are_no_user_are_final"),
        AuthProfileInvalid => Test("a_malformed_profile_is_reported_with_its_place_and_left_alone"),
        AuthProfileIo => Test("an_unusable_place_is_an_error_that_names_it"),
        AuthRateLimited | AuthServerError => Test("a_failing_server_is_asked_three_times"),
        AuthRedirected => Test("another_origin_gets_neither_the_bearer_nor_a_request"),
        AuthTimeout => Test("a_silent_server_times_out"),
        AuthTls => Test("https_is_spoken_to_https_addresses_and_never_given_up"),
        AuthTokenInClear => Test("a_token_goes_in_clear_to_this_machine_only"),
        AuthTokenInvalid | AuthTokenMissing => Test("the_bearer_comes_from_the_variable_or_the_file"),
        AuthUnreachable => Test("a_connection_that_breaks_is_tried_again"),
        WindowNoDisplay => Test("without_a_display_it_says_so"),
        WindowStateUnreadable | WindowStateUnwritable => Test("what_is_lost_is_told_and_what_never_was_is_not"),
        WindowWaylandStale => Test("stale_wayland_display_does_not_keep_x11_from_being_used"),
        AuthRandomUnavailable => OutOfReach("systems that run tests have random bytes"),
        DropFolderSilent => OutOfReach("takes a file system that does not answer"),
        LockUnsupported => OutOfReach("the file systems on which tests run have locks"),
        CheckLost => OutOfReach("takes a fault of the shell, or a check whose result nothing waits for"),
        LibraryDescriptors => OutOfReach("takes the descriptors from every other test of the process"),
        LibraryMemory => OutOfReach("takes the memory from every other test of the process"),
        LibraryNoexec => OutOfReach("takes a file system that is mounted so"),
        StaticTls => OutOfReach("takes libraries with another allocator"),
        StoreNotShared => OutOfReach("takes a fixture that links the store and does not share it"),
        LibraryMapped => OutOfReach("takes a library that the system does not unmap"),
        LinkFailed => OutOfReach("tests start no browser; those of `links` have one that hangs"),
        LoadHung => OutOfReach("blocks the system's loader for all tests of the process"),
        SaveFailed => OutOfReach("takes a fixture without the SDK"),
        GraphicsFailed => OutOfReach("depends on the graphics device"),
        SignalsUnavailable => OutOfReach("takes a system without threads or files, where no window opens either"),
        WindowGone => OutOfReach("Xlib ends the process by itself, unless its server goes in the middle of a request"),
        WindowSlow => OutOfReach("takes a display that hangs, and ten seconds"),
        FolderUnreadable => OutOfReach("root, who may run tests, reads every folder"),
        WatchLimited => Test("a_system_that_refuses_to_watch_is_told_of_once"),
    }
}

/// Returns the sources with tests, as one text.
pub(super) fn sources() -> String {
    let mut text = String::new();
    for folder in ["shell/src", "shell/tests/it", "shared-store/src", "telemetry/src"] {
        read(&workspace().join(folder), &mut text);
    }
    text
}

fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a text"));
        }
    }
}
