//! The test that provokes each code. A new code needs an answer here before the tests compile.

use std::{fs, path::Path};

use pulse::catalogue::Code;

use crate::support::workspace;

/// The place that provokes a code.
pub(super) enum Answer {
    /// A function of this module's parent.
    Here,
    /// The test with this name, of `it` or of a package.
    Test(&'static str),
    /// No test, for this reason.
    OutOfReach(#[expect(dead_code, reason = "for the reader")] &'static str),
}

/// Returns what provokes `code`.
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
        AtomCycle => Test("cycle_is_an_error_and_ends"),
        AtomFileDamaged | AtomFileNewer => Test("unusable_file_is_set_aside_and_reported"),
        AtomFileFailed | AtomSecret => Test("secret_and_unusable_folder_are_refused"),
        AtomPanicked => Test("failing_computed_is_an_error_and_recovers"),
        AtomPath => Test("result_that_does_not_fit_is_not_written"),
        StoreBusy => Test("quiet_means_no_task_and_nothing_queued"),
        StoreClosed => Test("listener_may_close_its_own_store"),
        PeersFolderUnsafe | PeersUnavailable => Test("folder_of_others_is_refused"),
        AliasDuplicate => Test("second_alias_of_a_remote_is_refused"),
        CodeUnknown => Test("a_code_is_explained"),
        ConfigNoHome | LogFilterInvalid | VariableFormer
            => Test("environment_settings_are_applied_or_reported"),
        ConfigUntrusted | AuthTokenWithheld
            => Test("installation_manifest_counts_if_not_writable"),
        CrateUnknown | ScopeUnknown => Test("explain_accepts_only_known_crates"),
        DataInUse => Test("data_in_use_by_an_earlier_version_is_left"),
        DataNotTaken => Test("data_that_cannot_be_moved_is_reported"),
        LocationUnsupported => Test("a_location_that_is_a_url"),
        RemoteUnknown => Test("a_library_is_installed_and_enabled"),
        ManifestInvalid | ManifestNotJson => Test("a_manifest_inside_of_the_library_that_is_wrong"),
        ManifestMissing | ManifestUnreadable => Test("a_manifest_that_is_missing_or_unreadable"),
        ManifestName => Test("a_manifest_of_another_remote"),
        ManifestOfHost => Test("folders_and_libraries_are_read"),
        ManifestTooLarge => Test("a_manifest_that_is_not_json"),
        ManifestVersion => Test("a_manifest_of_a_later_format"),
        NotSingleton => Test("missing_singleton_is_explained_in_the_slot"),
        ProviderNotGranted => Test("remote_without_grant_provides_nothing"),
        AbiLayout => Test("another_layout_of_the_contract"),
        AbiRevision => Test("another_revision_of_the_contract"),
        CopyFailed => Test("copies_go_to_next_usable_folder"),
        DescriptorMismatch => Test("a_descriptor_that_differs_from_the_manifest"),
        LibraryDamaged => Test("a_truncated_library"),
        LibraryMissing => Test("a_library_that_is_missing"),
        LibraryNotALibrary => Test("a_text_file_with_the_name_of_a_library"),
        LibraryNotAPlugin => Test("a_library_that_is_no_plugin"),
        LibraryOtherPlatform => Test("a_library_for_another_platform"),
        LibraryTooLarge | LibraryUnreadable => Test("pipe_device_or_link_loop_as_library"),
        ArchiveIndexDamaged => Test("damaged_index_is_logged_and_objects_stay"),
        ArchiveUnavailable => Test("library_that_changes_meanwhile_is_not_kept"),
        ChoicesDamaged | ChoicesUnreadable
            => Test("unreadable_is_logged_and_unwritable_holds"),
        ChoicesUnwritable => Test("held_lock_delays_only_the_writing_of_a_decision"),
        DecisionsUnknown => Test("remotes_do_not_start_while_decisions_are_unknown"),
        DigestMismatch => Test("a_manifest_is_installed_with_its_library"),
        FrameHung | InitHung | NewHung
            => Test("build_that_hangs_on_start_is_refused"),
        GenerationDamaged | GenerationNoneOlder | GenerationUnknown
            => Test("generations_are_listed_and_rolled_back_to"),
        InstallFailed | InstallOccupied => Test("unusable_files_are_not_installed"),
        LibraryLent => Test("consumer_stays_while_provider_keeps_its_callback"),
        LibraryPinned => Test("restarted_provider_keeps_providing_copies_in_use"),
        LibrarySignals => Test("library_with_signal_handler_stays_loaded"),
        LibraryThreads => Test("leftover_thread_keeps_the_library_loaded"),
        NotResponding => Test("unresponsive_remote_is_reported_and_restarts"),
        RemoteDisabled | RemoteNotEnabled
            => Test("drop_folder_library_runs_once_it_is_enabled"),
        RemoteFailing => Test("three_failures_disable_remote_across_restarts"),
        RemoteUntrusted => Test("a_library_that_others_can_change_does_not_run"),
        SafeMode => Test("safe_mode_runs_remotes_that_are_enabled_then"),
        SaveHung | SavePanicked => Test("unsaved_state_is_reported_and_dropped"),
        SessionDamaged => Test("damaged_markers_are_logged_and_count"),
        SessionUnwritable => Test("unusable_folder_is_logged_and_does_not_block"),
        SurfaceFailing => Test("three_failures_close_surface_and_leave_others"),
        ProviderSlow => Test("slow_provider_is_not_waited_for"),
        SharedForged => Test("forged_interface_is_not_used"),
        SharedLayout => Test("preflight_reports_failures_like_the_shell"),
        SharedMissing => Test("missing_offer_is_reported_once_and_planned_around"),
        SharedUsed => Test("error_in_init"),
        ClipboardRefused | LinkRefused | UserActionMissing => Test("links_that_are_not_of_the_web"),
        DataDir => Test("a_data_folder_that_cannot_be_made"),
        DragRefused => Test("drag_from_one_remote_drops_on_another"),
        ExposeUnknown => Test("an_expose_that_the_library_does_not_have"),
        FrameInvalid | FrameKept | FrameQuota | FrameTexture => Test("frames_that_break_a_rule"),
        LogSuppressed => Test("flood_of_a_remote_is_cut_and_does_not_touch_others"),
        PasteRefused => Test("images_and_the_request_to_paste"),
        PictureTooLarge => Test("picture_too_large_costs_only_itself"),
        RestoreFailed => Test("refused_state_is_reported_and_dropped"),
        RestorePanicked => Test("build_that_fails_on_start_is_refused"),
        StateDamaged => Test("damaged_state_is_set_aside"),
        StateDropped => Test("harmful_state_is_dropped_once"),
        StateTooLarge | StateUnwritable => Test("oversized_or_unwritable_state_is_refused"),
        TreeUnreadable => Test("unreadable_accessibility_tree"),
        PreflightCancelled => Test("lost_shell_ends_trial"),
        PreflightCrashed => Test("preflight_catches_crashing_library"),
        PreflightExited => Test("exit_is_seen_with_ignored_sigchld"),
        PreflightForged => Test("a_forged_verdict_does_not_count"),
        PreflightHung => Test("command_prints_verdict_and_matching_exit_code"),
        PreflightProvider => Test("a_provider_that_crashes_is_named"),
        PreflightUnavailable => Test("end_is_reported_with_its_stage"),
        AtomDecode => Test("older_build_reads_values_with_added_fields"),
        AtomNotGranted => Test("atom_missing_from_the_manifest"),
        AuthConfigInvalid => Test("user_address_is_built_from_base"),
        AuthForbidden | AuthNotFound | AuthRejected | AuthUnauthorized => Test("refusals_are_final"),
        AuthMalformed => Test("malformed_answers_are_final"),
        AuthProfileInvalid => Test("malformed_profile_is_reported_and_kept"),
        AuthProfileIo => Test("unusable_profile_path_is_named"),
        AuthRateLimited | AuthServerError => Test("failing_server_is_asked_three_times"),
        AuthRedirected => Test("redirect_to_other_origin_is_not_followed"),
        AuthTimeout => Test("silent_server_times_out"),
        AuthTls => Test("https_address_never_falls_back_to_http"),
        AuthTokenInClear => Test("token_goes_in_clear_only_to_this_machine"),
        AuthTokenInvalid | AuthTokenMissing => Test("bearer_comes_from_variable_or_file"),
        AuthUnreachable => Test("broken_connection_is_retried"),
        WindowNoDisplay => Test("missing_display_is_reported"),
        WindowStateUnreadable | WindowStateUnwritable => Test("lost_window_state_is_logged_once"),
        WindowWaylandStale => Test("window_opens_on_x11_with_stale_wayland_display"),
        AuthRandomUnavailable => OutOfReach("every system that runs tests has random bytes"),
        DropFolderSilent => OutOfReach("needs a file system that does not answer"),
        LockUnsupported => OutOfReach("every file system on which tests run has locks"),
        CheckLost => OutOfReach("needs a fault of the shell, or a check whose result is not awaited"),
        LibraryDescriptors => OutOfReach("would take the descriptors from every other test of the process"),
        LibraryMemory => OutOfReach("would take the memory from every other test of the process"),
        LibraryNoexec => OutOfReach("needs a file system mounted with `noexec`"),
        StaticTls => OutOfReach("needs libraries with another allocator"),
        StoreNotShared => OutOfReach("needs a fixture that links the store and does not share it"),
        LibraryMapped => OutOfReach("needs a library that the system does not unmap"),
        LinkFailed => OutOfReach("tests start no browser; those of `links` use one that hangs"),
        LoadHung => OutOfReach("blocks the system's loader for all tests of the process"),
        SaveFailed => OutOfReach("needs a fixture without the SDK"),
        GraphicsFailed => OutOfReach("depends on the graphics device"),
        SignalsUnavailable => OutOfReach("needs a system without threads or files, where no window opens either"),
        WindowGone => OutOfReach("Xlib ends the process by itself, unless its server goes in the middle of a request"),
        WindowSlow => OutOfReach("needs a display that hangs, and ten seconds"),
        FolderUnreadable => OutOfReach("root, who may run tests, reads every folder"),
        WatchLimited => Test("refused_watch_is_logged_once"),
        DeliverySettingInvalid | SiteOccupied => Test("init_refuses_occupied_and_public_folders"),
        KeyExposed => Test("exposed_key_is_refused"),
        KeyInvalid => Test("unusable_key_is_refused_without_its_text"),
        KeyMissing => Test("missing_keys_are_reported_with_their_place"),
        KeyUnauthorized => Test("publisher_is_limited_to_its_remotes"),
        ReleaseDigest | ReleaseLength => Test("damaged_targets_are_problems"),
        ReleaseExists => Test("other_content_of_a_version_is_refused"),
        ReleaseInvalid => Test("invalid_input_is_refused_before_writing"),
        ReleasePath => Test("name_in_another_case_is_refused"),
        ReleasePublisher => Test("second_publisher_of_every_remote_is_refused"),
        ReleaseUnknown => Test("withdrawal_names_newest_lower_version"),
        ReleaseUnpacked => Test("library_that_unpacks_differently_is_found"),
        RepoExpired => Test("expired_metadata_is_a_problem_until_renewed"),
        SiteBusy => Test("change_waits_and_reports_a_busy_repository"),
        SiteDamaged => Test("damaged_metadata_is_reported_with_its_file"),
        SiteFailed => Test("unusable_folder_is_reported"),
        SiteMissing => Test("folder_without_repository_is_missing"),
        DeliveryCacheFailed => Test("missing_cache_is_an_error_at_once"),
        DeliveryCacheUnsafe => Test("links_in_the_cache_are_refused"),
        DeliveryListDamaged | DeliveryListUnreadable => Test("damaged_list_of_decisions_is_set_aside"),
        DeliveryProcessFailed => Test("faulty_process_is_a_failure"),
        DevInvalid => Test("other_programs_are_recognised"),
        DevNotLoopback => Test("only_this_machine_is_accepted"),
        ReleaseNotFetched => Test("path_is_not_replaced_by_same_file_name"),
        RepoClock => Test("clock_set_back_is_refused"),
        RepoDenied => Test("refusals_are_not_retried"),
        RepoKeyRevoked => Test("revoked_key_is_refused"),
        RepoMixed => Test("mixed_metadata_is_refused"),
        RepoNotFound => Test("folder_is_a_repository"),
        RepoNotMetadata => Test("login_page_is_no_root"),
        RepoRedirected => Test("redirect_to_plain_address_is_refused"),
        RepoRollback => Test("rotated_keys_are_followed"),
        RepoRootMismatch => Test("other_fingerprint_is_refused"),
        RepoServerError => Test("faulty_servers_are_reported"),
        RepoSignature => Test("changed_bit_is_refused"),
        RepoThreshold => Test("root_below_threshold_is_refused"),
        RepoTimeout => Test("silent_server_is_given_up_in_time"),
        RepoTls => Test("unknown_authority_is_refused"),
        RepoTooLarge => Test("endless_metadata_is_refused"),
        RepoTooSlow => Test("slow_server_is_given_up_and_continued_later"),
        RepoUnreachable => Test("server_may_start_late_and_restart"),
        RepoUntrusted => Test("server_offers_its_first_root"),
        ServeAddress => Test("network_needs_permission"),
        DeliveryCancelled => Test("cancelled_download_is_continued"),
        ReleaseWithdrawn => Test("releases_arrive_in_an_open_window"),
    }
}

/// Returns the sources with tests, concatenated.
pub(super) fn sources() -> String {
    let mut text = String::new();
    for folder in
        ["shell/src", "shell/tests/it", "delivery/src", "peers/src", "shared-store/src", "telemetry/src"]
    {
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
