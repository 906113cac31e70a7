//! `pgbench` as the load: its clients cost little, and a sceptic knows it.
//!
//! The first transactions of a client pay for its plans; they are left out. What counts are those that
//! ended while every client was at work.

use super::measure::percentile;
use crate::Database;
use crate::install::temporary_folder;
use crate::paths::pg_bin;
use std::path::Path;
use std::process::Command;

/// A load: what each client repeats.
pub struct Load<'a> {
    pub script: &'a str,
    pub clients: u32,
    /// Transactions of each client that count.
    pub each: u64,
    /// Variables of the script.
    pub set: &'a [(&'a str, u64)],
    /// Without triggers, as only a superuser can: what the bare table can do.
    pub bare: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub transactions: u64,
    pub seconds: f64,
    pub milliseconds: Vec<f64>,
}

const WARM_UP: u64 = 25;

impl Run {
    pub fn per_second(&self) -> f64 {
        self.transactions as f64 / self.seconds
    }

    pub fn latency(&self, share: f64) -> f64 {
        percentile(&self.milliseconds, share)
    }

    /// Adds another run of the same load.
    pub fn add(&mut self, other: Run) {
        self.transactions += other.transactions;
        self.seconds += other.seconds;
        self.milliseconds.extend(other.milliseconds);
    }
}

impl Load<'_> {
    /// How many transactions such a load makes with those that do not count.
    pub fn all(clients: u32, each: u64) -> u64 {
        (each + WARM_UP) * u64::from(clients)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, database: &Database) -> Run {
        let folder = temporary_folder("pgw-load-");
        let script = folder.join("script.sql");
        std::fs::write(&script, format!("\\set i :i + 1\n{}\n", self.script)).expect("write the script");
        let mut command = Command::new(pg_bin("pgbench"));
        command.args(["-n", "-M", "prepared", "-h", "127.0.0.1", "-U", "postgres", "-l"]);
        command.args(["-p", &database.cluster().port().to_string()]);
        command.args([
            "-c",
            &self.clients.to_string(),
            "-j",
            &self.clients.min(2).to_string(),
        ]);
        command.args(["-t", &(self.each + WARM_UP).to_string(), "-D", "i=-1"]);
        for (name, value) in self.set {
            command.args(["-D", &format!("{name}={value}")]);
        }
        command
            .arg("-f")
            .arg(&script)
            .arg(format!("--log-prefix={}", folder.join("log").display()));
        command.arg(database.name());
        if self.bare {
            command.env("PGOPTIONS", "-c session_replication_role=replica");
        }
        let out = command.output().expect("pgbench");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            out.status.success() && !said.contains("aborted"),
            "pgbench: {said}\n{}",
            self.script
        );
        let run = read(&folder);
        std::fs::remove_dir_all(&folder).expect("remove the logs");
        run
    }
}

/// One line of pgbench's log.
struct Line {
    client: usize,
    number: u64,
    milliseconds: f64,
    ended: f64,
}

fn read(folder: &Path) -> Run {
    let files = std::fs::read_dir(folder)
        .expect("logs")
        .map(|entry| entry.expect("log").path());
    let logs = files.filter(|path| path.extension().is_some_and(|ending| ending != "sql"));
    let text: String = logs
        .map(|path| std::fs::read_to_string(path).expect("log"))
        .collect();
    let lines: Vec<Line> = text
        .lines()
        .map(|line| Line::read(line).unwrap_or_else(|| panic!("{line}")))
        .collect();
    // From when the last client was warm until the first one was through.
    let warm = |line: &&Line| line.number == WARM_UP;
    let begin = lines
        .iter()
        .filter(warm)
        .map(|line| line.ended)
        .fold(0.0, f64::max);
    let clients = lines
        .iter()
        .map(|line| line.client)
        .max()
        .map_or(0, |most| most + 1);
    let mut through = vec![0.0; clients];
    for line in &lines {
        through[line.client] = f64::max(through[line.client], line.ended);
    }
    let end = through.into_iter().fold(f64::INFINITY, f64::min);
    let counted = lines
        .iter()
        .filter(|line| line.ended > begin && line.ended <= end);
    let milliseconds: Vec<f64> = counted.map(|line| line.milliseconds).collect();
    Run {
        transactions: milliseconds.len() as u64,
        seconds: end - begin,
        milliseconds,
    }
}

impl Line {
    /// `client number microseconds script epoch microseconds`
    fn read(line: &str) -> Option<Line> {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Line {
            client: number(0)? as usize,
            number: number(1)?,
            milliseconds: number(2)? as f64 / 1000.0,
            // Short enough that a microsecond is still told apart.
            ended: (number(4)? % 1_000_000) as f64 + number(5)? as f64 / 1e6,
        })
    }
}
