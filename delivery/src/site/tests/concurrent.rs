use std::{sync::Barrier, thread};

use super::*;

#[test]
fn concurrent_publishers_lose_nothing() {
    let fixture = Fixture::with(&[("team-0", "remote0"), ("team-1", "remote1"), ("team-2", "remote2,remote3")]);
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (fixture, start) = (&fixture, &start);
            let (site, folder) = (fixture.site.clone(), fixture.folder.path().to_owned());
            let key = format!("publisher-team-{}", number.min(2));
            let keys = fixture.ring(&[&key, "online"]);
            scope.spawn(move || {
                start.wait();
                for patch in 0..3 {
                    let artifact = artifact(&folder, &format!("remote{number}"), &format!("1.0.{patch}"), "");
                    site.publish(&artifact, "stable", "", &keys).expect("it is published");
                }
            });
        }
    });
    assert_eq!(fixture.seen().len(), 12);
    fixture.is_fine();
}

#[test]
fn change_waits_and_reports_a_busy_repository() {
    let fixture = Fixture::new();
    let mut site = fixture.site.clone();
    site.patience = Duration::from_millis(20);
    let held = fixture.site.folder.lock(Duration::ZERO).expect("the lock is free");
    refused(site.refresh(None, &fixture.ring(&["online"])), ErrorCode::SiteBusy, "try again");
    refused(site.check(), ErrorCode::SiteBusy, "try again");
    drop(held);
    site.refresh(None, &fixture.ring(&["online"])).expect("the lock is free");
}
