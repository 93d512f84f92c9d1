//! Where the official evaluator has the files of a model, and in which order their entries stand.

use std::cmp::Ordering;

use crate::tools::bfcl::{Category, FILE_PREFIX};

/// Returns the folder of a model: its name with `_` for `/`.
pub fn model_folder(model: &str) -> String {
    model.replace('/', "_")
}

/// Returns `MODEL/GROUP/BFCL_v4_CATEGORY_result.json`.
pub fn result_path(model: &str, category: Category) -> String {
    format!("{}/{}/{}", model_folder(model), category.folder(), category.result_file())
}

/// Returns `MODEL/GROUP/BFCL_v4_CATEGORY_score.json`.
pub fn score_path(model: &str, category: Category) -> String {
    format!("{}/{}/{}", model_folder(model), category.folder(), category.score_file())
}

/// Returns the category that the name of a result file speaks of; `None` for other files.
pub fn category_of_result(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.strip_prefix(FILE_PREFIX)?.strip_suffix("_result.json")
}

/// Returns the number of an entry: 3 of `live_simple_3-1-0`; `None` where the id has none.
pub fn number_of_id(id: &str) -> Option<u64> {
    let head = id.split(':').next()?;
    let (_, index) = head.rsplit_once('_')?;
    index.split('-').next()?.parse().ok()
}

/// Returns how the ids of one category are ordered: by number. Ids without a number come last.
pub fn order(one: &str, two: &str) -> Ordering {
    let key = |id: &str| number_of_id(id).unwrap_or(u64::MAX);
    key(one).cmp(&key(two))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_names_are_the_official_ones() {
        let path = |category| result_path("Qwen/Qwen3-0.6B", category);
        assert_eq!(path(Category::SimpleJava), "Qwen_Qwen3-0.6B/non_live/BFCL_v4_simple_java_result.json");
        assert_eq!(path(Category::MemoryKv), "Qwen_Qwen3-0.6B/agentic/memory/kv/BFCL_v4_memory_kv_result.json");
        assert_eq!(score_path("a", Category::LiveSimple), "a/live/BFCL_v4_live_simple_score.json");
        assert_eq!(category_of_result("x/BFCL_v4_multi_turn_base_result.json"), Some("multi_turn_base"));
        assert_eq!(category_of_result("x/BFCL_v4_multi_turn_base_score.json"), None);
    }

    #[test]
    fn entries_are_ordered_by_their_first_number() {
        let mut ids = ["live_simple_10-0-0", "live_simple_9-7-1", "live_simple_100-1-0"];
        ids.sort_by(|one, two| order(one, two));
        assert_eq!(ids, ["live_simple_9-7-1", "live_simple_10-0-0", "live_simple_100-1-0"]);
        assert_eq!(number_of_id("format_sensitivity_7:ret_fmt=json&style=classic:live_simple_3-1-0"), Some(7));
    }
}
