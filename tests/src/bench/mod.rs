//! Measures this project beside what the same machine can do at most, both in one run, in turns.
//!
//! A group of figures is a module: what it does is ours on the one side and the bare statement on the
//! other. Everything runs on a server of its own with PostgreSQL's defaults, durability included.

mod claims;
mod enqueue;
mod ground;
mod idle;
mod jobs;
mod measure;
mod options;
mod pgbench;
mod plot;
mod refill;
mod report;
mod slots;
mod tick;
mod wake;

pub use options::Options;

use ground::Ground;
use report::Report;

/// A group of figures: its name for `only`, and what measures it.
type Group = (&'static str, fn(&mut Bench));

const GROUPS: &[Group] = &[
    ("claims", claims::fresh),
    ("drained", claims::drained),
    ("enqueue", enqueue::singly),
    ("batch", enqueue::batch),
    ("wake", wake::wake),
    ("jobs", jobs::jobs),
    ("idle", idle::idle),
    ("tick", tick::tick),
    ("refill", refill::refill),
    ("share", refill::share),
    ("slots", slots::slots),
];

/// What a group works with.
pub struct Bench<'a> {
    pub options: &'a Options,
    pub ground: Ground,
    pub report: Report,
    /// The group that is being measured.
    group: &'static str,
    say: &'a mut dyn FnMut(&str),
}

impl Bench<'_> {
    fn pair(&mut self, figure: &report::Figure, pair: &measure::Pair) {
        self.report.pair(self.group, self.options, figure, pair);
        self.tell();
    }

    fn alone(&mut self, what: &str, ours: &str, aim: &str) {
        self.report.alone(self.group, self.options, what, ours, aim);
        self.tell();
    }

    /// A long run is not for nothing when it is cut off.
    fn tell(&mut self) {
        if let Some(line) = self.report.lines.last() {
            (self.say)(&line.to_string());
        }
    }
}

/// Measures what is asked for; the answer is the report, or why that cannot be measured. `say` hears
/// how it goes.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<String, String> {
    let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    if let Some(wrong) = options
        .only
        .iter()
        .find(|wanted| !names.contains(&wanted.as_str()))
    {
        return Err(format!("only: '{wrong}' is not allowed: {}", names.join(", ")));
    }
    let mut bench = Bench {
        options,
        ground: Ground::prepare(options),
        report: Report::default(),
        group: "",
        say,
    };
    for (name, measure) in GROUPS {
        if options.only.is_empty() || options.only.iter().any(|wanted| wanted == name) {
            (bench.say)(name);
            bench.group = name;
            measure(&mut bench);
        }
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&bench.report.points)).expect("write the picture");
    }
    Ok(format!("{}\n\n{}", bench.ground.describe(), bench.report.table()))
}
