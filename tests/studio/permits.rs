//! The permit log through the studio, as somebody with a log of their own would go. Needs the log beside the repository.

use std::process::Command;

use super::journeys::{CTRL_U, ENTER, Place, assert_put_back};

const LOG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/real-data/permit-applications.ndjson"
);

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_from_the_log_to_the_state_of_an_application() {
    let place = Place::new();
    std::fs::write(place.work().join("permits.sql"), include_str!("../permits/permits.sql")).unwrap();
    let produced = Command::new(env!("CARGO_BIN_EXE_foldlog"))
        .arg("--data")
        .arg(place.data())
        .args(["produce", "--envelope", LOG])
        .status()
        .unwrap();
    assert!(produced.success());

    let mut t = place.studio(120, 40);
    t.wait_for("permit-events").wait_for("8,577").keys(ENTER);
    t.wait_for("newest first").wait_for("\"caseId\": \"case-11458\"");
    t.keys("2").wait_for("permits").wait_for("not built");
    t.keys("r").wait_for("rebuilt permits").wait_for("ready");
    t.keys(ENTER).wait_for("SELECT * FROM permits.application");
    t.keys("s").keys(CTRL_U);
    t.keys("SELECT state, count(*) AS n FROM permits.application GROUP BY state ORDER BY n DESC");
    t.keys(ENTER).wait_for("assessed").wait_for("829");
    t.keys("s").keys(CTRL_U);
    t.keys("SELECT state, events, last_task FROM permits.application WHERE id = 'case-891'");
    t.keys(ENTER).wait_for("unlicensed").wait_for("T15 Print document X");
    t.keys("q");
    assert_put_back(&mut t, "0");
}
