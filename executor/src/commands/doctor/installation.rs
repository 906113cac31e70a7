//! What is installed in the database: does schema `worker` speak this program's version of the
//! contract, do its functions and tables belong together, and who does the maintenance.

use std::time::Duration;

use tokio::time::sleep;

use super::remedy;
use super::report::{Finding, Report};
use crate::door::{About, CONTRACT_VERSION, Door, DoorError};

/// A background worker that was just asked for needs a moment to appear.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// Whether this program and what is installed there can work together.
pub async fn check(door: &Door, role: Option<&str>, report: &mut Report) -> bool {
    let about = match contract(door, report).await {
        Ok(true) => settled(door).await,
        Ok(false) => return false,
        Err(error) => Err(error),
    };
    match about {
        Ok(about) => {
            report.tell(&versions(&about));
            report.tell(&background(&about));
            about.ready_problem.is_none()
        }
        Err(error) => {
            report.tell(&remedy::finding("schema worker", &error, role));
            false
        }
    }
}

async fn contract(door: &Door, report: &mut Report) -> Result<bool, DoorError> {
    let theirs = door.contract_version().await?;
    report.tell(&agreement(theirs));
    Ok(theirs == CONTRACT_VERSION)
}

fn agreement(theirs: i32) -> Finding {
    const NAME: &str = "contract";
    if theirs == CONTRACT_VERSION {
        return Finding::ok(NAME, format!("version {theirs} on both sides"));
    }
    let text = format!("the database speaks version {theirs}, this program version {CONTRACT_VERSION}");
    Finding::fail(
        NAME,
        text,
        if theirs > CONTRACT_VERSION {
            "update this program"
        } else {
            "update the extension: ALTER EXTENSION pg_worker_ext UPDATE; SELECT worker.setup();"
        },
    )
}

/// `worker.about()`, when there was time for a background worker to start.
async fn settled(door: &Door) -> Result<About, DoorError> {
    let mut about = door.about().await?;
    for _ in 1..LOOKS {
        if !about.preloaded || about.background_worker {
            break;
        }
        sleep(BETWEEN_LOOKS).await;
        about = door.about().await?;
    }
    Ok(about)
}

fn versions(about: &About) -> Finding {
    const NAME: &str = "versions";
    let or_none = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".into());
    let code = or_none(&about.version);
    let text = format!(
        "functions {code}, tables {}, this program {}",
        or_none(&about.schema_version),
        env!("CARGO_PKG_VERSION")
    );
    if let Some(problem) = &about.ready_problem {
        let remedy = "as the owner of the tables: SELECT worker.setup(); until then executors write nothing";
        return Finding::fail(NAME, format!("{text}: {problem}"), remedy);
    }
    match &about.library_version {
        Some(library) if *library != code => {
            let remedy = "restart the server, so that it loads the library that belongs to the functions";
            Finding::warn(NAME, format!("{text}, library {library}"), remedy)
        }
        _ => Finding::ok(NAME, text),
    }
}

fn background(about: &About) -> Finding {
    const NAME: &str = "background worker";
    match (about.background_worker, about.preloaded, &about.library_version) {
        (true, ..) => Finding::ok(NAME, rest(about)),
        (false, true, _) => Finding::warn(
            NAME,
            "the library is preloaded, but no background worker serves this database; executors do its work",
            "see pg_worker_ext.background_worker and max_worker_processes in postgresql.conf, and the server's log",
        ),
        (false, false, Some(_)) => Finding::warn(
            NAME,
            "none, for the library is not preloaded; executors do its work",
            "shared_preload_libraries = 'pg_worker_ext' in postgresql.conf, then restart the server",
        ),
        (false, false, None) => Finding::ok(
            NAME,
            "none in an installation without library; executors do its work",
        ),
    }
}

/// As `worker.about()` tells it: none stays where there is nothing to do.
fn rest(about: &About) -> String {
    match about.next_look {
        _ if about.awake => "at work".into(),
        Some(at) => format!(
            "asleep, next look at {}",
            at.with_timezone(&chrono::Local).format("%H:%M")
        ),
        None => "asleep".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn about() -> About {
        About {
            version: Some("0.1.0".into()),
            schema_version: Some("0.1.0".into()),
            preloaded: true,
            background_worker: true,
            awake: false,
            next_look: None,
            library_version: Some("0.1.0".into()),
            ready_problem: None,
        }
    }

    #[test]
    fn the_side_that_is_older_is_to_be_updated() {
        assert_eq!(agreement(CONTRACT_VERSION).level, Level::Ok);
        assert!(
            agreement(CONTRACT_VERSION + 1)
                .remedy
                .unwrap()
                .contains("this program")
        );
        assert!(
            agreement(CONTRACT_VERSION - 1)
                .remedy
                .unwrap()
                .contains("ALTER EXTENSION")
        );
    }

    #[test]
    fn tables_that_do_not_fit_are_a_failure_and_an_old_library_a_warning() {
        assert_eq!(versions(&about()).level, Level::Ok);
        let old = About {
            library_version: Some("0.0.9".into()),
            ..about()
        };
        assert_eq!(versions(&old).level, Level::Warn);
        let unready = About {
            ready_problem: Some("incomplete".into()),
            ..about()
        };
        assert_eq!(versions(&unready).level, Level::Fail);
    }

    #[test]
    fn a_worker_that_rests_is_no_trouble() {
        let at = chrono::Utc::now();
        let asleep = About {
            next_look: Some(at),
            ..about()
        };
        let time = at.with_timezone(&chrono::Local).format("%H:%M").to_string();
        assert!(
            rest(&asleep).ends_with(&format!("next look at {time}")),
            "{}",
            rest(&asleep)
        );
        assert_eq!(background(&asleep).level, Level::Ok);
    }

    #[test]
    fn without_library_nobody_misses_the_background_worker() {
        assert_eq!(background(&about()).level, Level::Ok);
        let idle = About {
            background_worker: false,
            ..about()
        };
        assert_eq!(background(&idle).level, Level::Warn);
        let plain = About {
            preloaded: false,
            ..idle
        };
        assert!(
            background(&plain)
                .remedy
                .unwrap()
                .contains("shared_preload_libraries")
        );
        let sql_only = About {
            library_version: None,
            ..plain
        };
        assert_eq!(background(&sql_only).level, Level::Ok);
    }
}
