//! The categories of BFCL v4: what each is called, in which language and group it is, how its entries are judged.
//!
//! Knows names only, no folders: where a group's files lie is [`Category::folder`], a relative path.
//!
//! Source: `bfcl-eval` 2026.3.23, `constants/category_mapping.py` and `utils.py`.

use std::fmt;

/// What the official files are called before the category's name.
pub const FILE_PREFIX: &str = "BFCL_v4_";

/// A category of BFCL v4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum Category {
    SimplePython,
    SimpleJava,
    SimpleJavascript,
    Multiple,
    Parallel,
    ParallelMultiple,
    Irrelevance,
    LiveSimple,
    LiveMultiple,
    LiveParallel,
    LiveParallelMultiple,
    LiveIrrelevance,
    LiveRelevance,
    MultiTurnBase,
    MultiTurnMissFunc,
    MultiTurnMissParam,
    MultiTurnLongContext,
    MemoryKv,
    MemoryVector,
    MemoryRecSum,
    WebSearchBase,
    WebSearchNoSnippet,
    FormatSensitivity,
}

/// What a category belongs to; results and scores lie in a folder per group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum Group {
    NonLive,
    Live,
    MultiTurn,
    Agentic,
    FormatSensitivity,
}

/// The language whose types and literals a category's documents use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Language {
    #[default]
    Python,
    Java,
    JavaScript,
}

/// How a single-turn entry is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// One call of the one function.
    Simple,
    /// One call of one of several functions.
    Multiple,
    /// Several calls, in any order.
    Parallel,
    /// Some call.
    Relevance,
    /// No call.
    Irrelevance,
}

impl Category {
    /// Every category, in the official order: non-live, live, multi-turn, agentic, not scored.
    pub const ALL: [Self; 23] = [
        Self::SimplePython,
        Self::SimpleJava,
        Self::SimpleJavascript,
        Self::Multiple,
        Self::Parallel,
        Self::ParallelMultiple,
        Self::Irrelevance,
        Self::LiveSimple,
        Self::LiveMultiple,
        Self::LiveParallel,
        Self::LiveParallelMultiple,
        Self::LiveIrrelevance,
        Self::LiveRelevance,
        Self::MultiTurnBase,
        Self::MultiTurnMissFunc,
        Self::MultiTurnMissParam,
        Self::MultiTurnLongContext,
        Self::MemoryKv,
        Self::MemoryVector,
        Self::MemoryRecSum,
        Self::WebSearchBase,
        Self::WebSearchNoSnippet,
        Self::FormatSensitivity,
    ];

    /// Returns the official name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SimplePython => "simple_python",
            Self::SimpleJava => "simple_java",
            Self::SimpleJavascript => "simple_javascript",
            Self::Multiple => "multiple",
            Self::Parallel => "parallel",
            Self::ParallelMultiple => "parallel_multiple",
            Self::Irrelevance => "irrelevance",
            Self::LiveSimple => "live_simple",
            Self::LiveMultiple => "live_multiple",
            Self::LiveParallel => "live_parallel",
            Self::LiveParallelMultiple => "live_parallel_multiple",
            Self::LiveIrrelevance => "live_irrelevance",
            Self::LiveRelevance => "live_relevance",
            Self::MultiTurnBase => "multi_turn_base",
            Self::MultiTurnMissFunc => "multi_turn_miss_func",
            Self::MultiTurnMissParam => "multi_turn_miss_param",
            Self::MultiTurnLongContext => "multi_turn_long_context",
            Self::MemoryKv => "memory_kv",
            Self::MemoryVector => "memory_vector",
            Self::MemoryRecSum => "memory_rec_sum",
            Self::WebSearchBase => "web_search_base",
            Self::WebSearchNoSnippet => "web_search_no_snippet",
            Self::FormatSensitivity => "format_sensitivity",
        }
    }

    /// Returns the category of an official name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == name)
    }

    /// Returns the category of an entry's id: what stands before the last `_`, and before the first `:`.
    pub fn of_id(id: &str) -> Option<Self> {
        let first = id.split(':').next().unwrap_or(id);
        first.rsplit_once('_').and_then(|(name, _)| Self::named(name.trim_end_matches("_prereq")))
    }

    /// Returns the group that the category's files lie in.
    pub const fn group(self) -> Group {
        match self {
            Self::SimplePython
            | Self::SimpleJava
            | Self::SimpleJavascript
            | Self::Multiple
            | Self::Parallel
            | Self::ParallelMultiple
            | Self::Irrelevance => Group::NonLive,
            Self::LiveSimple
            | Self::LiveMultiple
            | Self::LiveParallel
            | Self::LiveParallelMultiple
            | Self::LiveIrrelevance
            | Self::LiveRelevance => Group::Live,
            Self::MultiTurnBase | Self::MultiTurnMissFunc | Self::MultiTurnMissParam | Self::MultiTurnLongContext => {
                Group::MultiTurn
            }
            Self::MemoryKv
            | Self::MemoryVector
            | Self::MemoryRecSum
            | Self::WebSearchBase
            | Self::WebSearchNoSnippet => Group::Agentic,
            Self::FormatSensitivity => Group::FormatSensitivity,
        }
    }

    /// Returns the language of the category's documents.
    pub const fn language(self) -> Language {
        match self {
            Self::SimpleJava => Language::Java,
            Self::SimpleJavascript => Language::JavaScript,
            _ => Language::Python,
        }
    }

    /// Returns how an entry is judged; `None` for what takes several turns.
    ///
    /// The entries of `format_sensitivity` are judged like those whose ids they carry: see [`super::Entry::task`].
    pub const fn task(self) -> Option<Task> {
        match self {
            Self::SimplePython | Self::SimpleJava | Self::SimpleJavascript | Self::LiveSimple => Some(Task::Simple),
            Self::Multiple | Self::LiveMultiple => Some(Task::Multiple),
            Self::Parallel | Self::ParallelMultiple | Self::LiveParallel | Self::LiveParallelMultiple => {
                Some(Task::Parallel)
            }
            Self::Irrelevance | Self::LiveIrrelevance => Some(Task::Irrelevance),
            Self::LiveRelevance => Some(Task::Relevance),
            _ => None,
        }
    }

    /// Returns whether the category comes with possible answers.
    pub const fn has_answers(self) -> bool {
        !matches!(self.task(), Some(Task::Relevance | Task::Irrelevance))
    }

    /// Returns the folder, below a model's folder, of the category's results and scores.
    pub fn folder(self) -> String {
        match self {
            Self::MemoryKv => "agentic/memory/kv".to_owned(),
            Self::MemoryVector => "agentic/memory/vector".to_owned(),
            Self::MemoryRecSum => "agentic/memory/rec_sum".to_owned(),
            other => other.group().as_str().to_owned(),
        }
    }

    /// Returns the name of the file of questions or of possible answers.
    pub fn question_file(self) -> String {
        format!("{FILE_PREFIX}{self}.json")
    }

    /// Returns the name of the file of results.
    pub fn result_file(self) -> String {
        format!("{FILE_PREFIX}{self}_result.json")
    }

    /// Returns the name of the file of scores.
    pub fn score_file(self) -> String {
        format!("{FILE_PREFIX}{self}_score.json")
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Group {
    /// Returns the official name, which is also the folder's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NonLive => "non_live",
            Self::Live => "live",
            Self::MultiTurn => "multi_turn",
            Self::Agentic => "agentic",
            Self::FormatSensitivity => "format_sensitivity",
        }
    }
}

impl Language {
    /// Returns the official name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::JavaScript => "javascript",
        }
    }

    /// Returns the language of an official name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Python, Self::Java, Self::JavaScript].into_iter().find(|language| language.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_their_category() {
        assert_eq!(Category::of_id("live_parallel_multiple_3-2-1"), Some(Category::LiveParallelMultiple));
        assert_eq!(Category::of_id("simple_java_7"), Some(Category::SimpleJava));
        assert_eq!(Category::of_id("memory_kv_prereq_0-student-0"), Some(Category::MemoryKv));
        let format = "format_sensitivity_52:ret_fmt=python&tool_call_tag=True:simple_python_58";
        assert_eq!(Category::of_id(format), Some(Category::FormatSensitivity));
        assert_eq!(Category::of_id("nothing"), None);
    }

    #[test]
    fn names_are_read_back() {
        for category in Category::ALL {
            assert_eq!(Category::named(category.as_str()), Some(category));
        }
        assert_eq!(Category::MemoryRecSum.folder(), "agentic/memory/rec_sum");
        assert_eq!(Category::LiveSimple.score_file(), "BFCL_v4_live_simple_score.json");
    }
}
