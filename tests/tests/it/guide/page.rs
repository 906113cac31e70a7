//! A page of `docs/` as its fenced blocks, taken one after the other. A test names the heading and the
//! language of each block that it takes; a block that no test takes fails the test at the end.

use pg_worker_tests::paths;
use std::collections::VecDeque;

/// A page whose blocks are being taken.
pub struct Page {
    name: &'static str,
    text: String,
    blocks: VecDeque<Block>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    pub language: String,
    pub heading: String,
    pub text: String,
    pub place: String,
}

impl Page {
    pub fn open(name: &'static str) -> Page {
        let text = paths::read(name);
        let blocks = blocks_of(name, &text);
        Page { name, text, blocks }
    }

    /// The next block, which must be in this language and stand under this heading.
    #[track_caller]
    pub fn take(&mut self, language: &str, heading: &str) -> Block {
        let block = self
            .blocks
            .pop_front()
            .unwrap_or_else(|| panic!("{}: no block is left, {language} expected", self.name));
        assert_eq!(
            (block.language.as_str(), block.heading.as_str()),
            (language, heading),
            "{}: another block than the test expects; a new one needs a line in tests/it/guide.rs\n{}",
            block.place,
            block.text
        );
        block
    }

    #[track_caller]
    pub fn sql(&mut self, heading: &str) -> Block {
        self.take("sql", heading)
    }

    #[track_caller]
    pub fn bash(&mut self, heading: &str) -> Block {
        self.take("bash", heading)
    }

    /// A block that cannot be run here. Each of its lines that is a command begins with `command`.
    #[track_caller]
    pub fn left_out(&mut self, heading: &str, command: &str, why: &str) -> Block {
        let block = self.bash(heading);
        for line in block.commands() {
            assert!(line.starts_with(command), "{}: {line}", block.place);
        }
        println!("left out: {} ({command}): {why}", block.place);
        block
    }

    /// All the blocks that are left.
    pub fn all(mut self) -> Vec<Block> {
        self.blocks.drain(..).collect()
    }

    /// No block may be left.
    #[track_caller]
    pub fn is_over(&self) {
        let left: Vec<&Block> = self.blocks.iter().collect();
        assert!(
            left.is_empty(),
            "{}: blocks that no test takes: {left:#?}",
            self.name
        );
    }

    /// The rows of the table whose first column has this title: its cells without back quotes.
    #[track_caller]
    pub fn table(&self, first_column: &str) -> Vec<Vec<String>> {
        let head = format!("| {first_column} |");
        let lines = self.text.lines().skip_while(|line| !line.starts_with(&head));
        let rows: Vec<Vec<String>> = lines
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(cells)
            .collect();
        assert!(!rows.is_empty(), "{}: no table '{first_column}'", self.name);
        rows
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Block {
    /// Its lines without comments and empty ones.
    pub fn commands(&self) -> Vec<&str> {
        let lines = self.text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    /// With a placeholder filled in.
    #[must_use]
    pub fn with(mut self, placeholder: &str, value: &str) -> Block {
        assert!(
            self.text.contains(placeholder),
            "{}: no {placeholder}",
            self.place
        );
        self.text = self.text.replace(placeholder, value);
        self
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().replace('`', ""))
        .collect()
}

fn blocks_of(name: &str, text: &str) -> VecDeque<Block> {
    let mut blocks = VecDeque::new();
    let mut heading = String::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        open = match (open.take(), bare.strip_prefix("```")) {
            (Some((block, _)), Some(_)) => {
                blocks.push_back(block);
                None
            }
            (Some((mut block, indent)), None) => {
                block.text.push_str(line.get(indent..).unwrap_or_default());
                block.text.push('\n');
                Some((block, indent))
            }
            (None, Some(language)) => Some((
                Block {
                    language: language.to_owned(),
                    heading: heading.clone(),
                    text: String::new(),
                    place: format!("{name}:{}", number + 1),
                },
                line.len() - bare.len(),
            )),
            (None, None) => {
                if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim().to_owned();
                }
                None
            }
        };
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    // Drawings have no language: nothing is run there.
    blocks.retain(|block| !block.language.is_empty());
    blocks
}
