//! GGUF files of the Llama family: read once, dequantised to `f32`, and from then on a model like any other.
//!
//! candle reads the container and dequantises; what is ours is the way back to Hugging Face's conventions: names, the
//! configuration from metadata, the rows of the query and key projections in their own order, the tokenizer.

mod metadata;
mod tokenizer;

use std::io::{self, BufReader, Read, Seek};

use camino::Utf8Path;
use candle_core::{Device, quantized::gguf_file::Content};

use crate::lm::{Config, Family, LanguageModel, Llama3RopeScaling, LmError, Parameter, Weights};

use metadata::Metadata;

/// Llama 3's rotary factors, where a model has them.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Reads a GGUF file into a model.
///
/// # Errors
/// [`LmError::Format`] for a damaged or truncated file, [`LmError::UnsupportedFamily`], [`LmError::MissingTensor`],
/// [`LmError::TensorShape`], [`LmError::UnsupportedTokenizer`]: each names the file and the field or tensor.
pub fn import(path: &Utf8Path) -> Result<LanguageModel, LmError> {
    let file = fs_err::File::open(path).map_err(LmError::io("read", path))?;
    let length = file.metadata().map_err(LmError::io("read", path))?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let damaged = |reason: String| LmError::Format { path: path.to_owned(), format: "GGUF", reason };

    check_alignment(&mut reader, length).map_err(damaged)?;
    reader.rewind().map_err(LmError::io("read", path))?;
    let content = Content::read(&mut reader).map_err(|error| damaged(reason(&error)))?;
    let metadata = Metadata::new(path, &content);
    let mut file = GgufFile { path, content: &content, reader, length };

    let config = config(&metadata, &mut file)?;
    let mut tokenizer = tokenizer::build(&metadata)?;
    for token in &config.eos_token_ids {
        if !tokenizer.eos.contains(token) {
            tokenizer.eos.push(*token);
        }
    }
    let mut parameters = Vec::new();
    for (name, shape) in Weights::layout(&config) {
        let mut data = file.read(&gguf_name(&name), &shape)?;
        if is_permuted(config.family, &name) {
            data = unpermute(&data, config.head_dim, shape[1]);
        }
        parameters.push(Parameter { name, shape, data });
    }
    LanguageModel::new(config, Weights { parameters }, tokenizer)
}

/// An open file, to read tensors from.
struct GgufFile<'a> {
    path: &'a Utf8Path,
    content: &'a Content,
    reader: BufReader<fs_err::File>,
    length: u64,
}

impl GgufFile<'_> {
    fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Reads and dequantises the tensor `name` of the given shape.
    fn read(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LmError> {
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Err(LmError::MissingTensor {
                path: self.path.to_owned(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        if info.shape.dims() != expected {
            return Err(LmError::TensorShape {
                path: self.path.to_owned(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                found: info.shape.dims().to_vec(),
            });
        }
        let elements: usize = expected.iter().product();
        let bytes = (elements / info.ggml_dtype.block_size() * info.ggml_dtype.type_size()) as u64;
        let start = self.content.tensor_data_offset.saturating_add(info.offset);
        if start.saturating_add(bytes) > self.length {
            let reason = format!(
                "the tensor `{name}` ({:?} {expected:?}) takes {bytes} bytes from byte {start}, but the file has {}: it was \
                 cut short",
                info.ggml_dtype, self.length
            );
            return Err(LmError::Format { path: self.path.to_owned(), format: "GGUF", reason });
        }
        let mut read = || self.content.tensor(&mut self.reader, name, &Device::Cpu)?.dequantize(&Device::Cpu);
        let tensor = read().map_err(|error| LmError::Format {
            path: self.path.to_owned(),
            format: "GGUF",
            reason: format!("the tensor `{name}` cannot be read: {}", reason(&error)),
        })?;
        tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(LmError::tensor("dequantise a tensor"))
    }
}

/// The configuration from the family's keys (`llama.block_count`) and the tensors' shapes.
fn config(metadata: &Metadata, file: &mut GgufFile) -> Result<Config, LmError> {
    let name = metadata.text("general.architecture")?;
    let Some(family) = Family::ALL.into_iter().find(|family| family.model_type() == name) else {
        return Err(LmError::UnsupportedFamily { origin: file.path.to_string(), found: name.to_owned() });
    };
    let key = |rest: &str| format!("{name}.{rest}");
    if metadata.optional_integer(&key("expert_count"))?.is_some_and(|experts| experts > 0) {
        return Err(metadata.error(&key("expert_count"), "set", "mixtures of experts are not supported"));
    }
    let vocab_size = match file.content.tensor_infos.get("token_embd.weight").map(|info| info.shape.dims()) {
        Some([rows, _]) => *rows,
        _ => metadata.integer(&key("vocab_size"))?,
    };
    let hidden_size = metadata.integer(&key("embedding_length"))?;
    let heads = metadata.integer(&key("attention.head_count"))?;
    if heads == 0 {
        return Err(metadata.error(&key("attention.head_count"), "0", "expected at least 1"));
    }
    let head_dim = metadata.optional_integer(&key("attention.key_length"))?.unwrap_or(hidden_size / heads);
    if let Some(rotary) = metadata.optional_integer(&key("rope.dimension_count"))?
        && rotary != head_dim
    {
        let expected = format!("expected the whole head, {head_dim} dimensions");
        return Err(metadata.error(&key("rope.dimension_count"), &rotary.to_string(), &expected));
    }
    if let Some(scaling) = metadata.optional_text(&key("rope.scaling.type"))?
        && scaling != "none"
    {
        return Err(metadata.error(
            &key("rope.scaling.type"),
            scaling,
            "only `none` and Llama 3's factors are supported",
        ));
    }
    let mut config = Config {
        family,
        hidden_size,
        intermediate_size: metadata.integer(&key("feed_forward_length"))?,
        num_hidden_layers: metadata.integer(&key("block_count"))?,
        num_attention_heads: heads,
        num_key_value_heads: metadata.optional_integer(&key("attention.head_count_kv"))?.unwrap_or(heads),
        head_dim,
        vocab_size,
        rms_norm_eps: metadata.float(&key("attention.layer_norm_rms_epsilon"))?,
        rope_theta: metadata.optional_float(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        rope_scaling: None,
        max_position_embeddings: metadata.integer(&key("context_length"))?,
        tie_word_embeddings: !file.has("output.weight"),
        bos_token_id: metadata.token("tokenizer.ggml.bos_token_id")?,
        eos_token_ids: metadata.ends()?,
    };
    config.check(file.path.as_str())?;
    if file.has(ROPE_FACTORS) {
        let factors = file.read(ROPE_FACTORS, &[head_dim / 2])?;
        config.rope_scaling = llama3_scaling(&config, &factors);
        if config.rope_scaling.is_none() && factors.iter().any(|factor| *factor != 1.0) {
            return Err(metadata.error(ROPE_FACTORS, "set", "its factors are not those of Llama 3's rotary scaling"));
        }
    }
    Ok(config)
}

/// Finds the scaling that gives `factors` (GGUF keeps only the result): Llama 3.1 and later differ in `factor` alone.
fn llama3_scaling(config: &Config, factors: &[f32]) -> Option<Llama3RopeScaling> {
    let factor = factors.iter().copied().fold(1.0, f32::max);
    let scaling = Llama3RopeScaling {
        factor: f64::from(factor),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    let plain = Config { rope_scaling: None, ..config.clone() }.inverse_frequencies();
    let scaled = Config { rope_scaling: Some(scaling), ..config.clone() }.inverse_frequencies();
    let close = |index: usize| {
        let expected = plain[index] / scaled[index];
        (f64::from(factors[index]) - expected).abs() <= 1e-4 * expected
    };
    (factor > 1.0 && (0..factors.len()).all(close)).then_some(scaling)
}

/// Whether llama.cpp stores the rows of a tensor in another order: it rotates neighbours in Llama models, halves in others.
fn is_permuted(family: Family, name: &str) -> bool {
    family == Family::Llama && (name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight"))
}

/// `model.layers.3.self_attn.q_proj.weight` → `blk.3.attn_q.weight`.
fn gguf_name(name: &str) -> String {
    let plain = match name {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" => "output.weight",
        _ => name,
    };
    let Some((layer, part)) = plain.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
        return plain.to_owned();
    };
    let (part, kind) = part.rsplit_once('.').unwrap_or((part, "weight"));
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => other,
    };
    format!("blk.{layer}.{part}.{kind}")
}

/// Brings the rows of a query or key projection back to Hugging Face's order. llama.cpp's converter interleaves each head's
/// two halves, so that rotary pairs are neighbours: its row `2 i + j` of a head is row `j · d/2 + i` here.
///
/// **Source:** `LlamaModel.permute` in llama.cpp's `convert_hf_to_gguf.py`.
fn unpermute(data: &[f32], head_dim: usize, width: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * width) {
        for half in 0..2 {
            for pair in 0..head_dim / 2 {
                let row = 2 * pair + half;
                rows.extend_from_slice(&head[row * width..(row + 1) * width]);
            }
        }
    }
    rows
}

/// candle's message without its backtrace.
fn reason(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Walks the metadata to `general.alignment` and refuses what is no power of two: candle divides by it.
fn check_alignment(reader: &mut (impl Read + Seek), length: u64) -> Result<(), String> {
    let mut walk = Walk { reader, length };
    match walk.alignment() {
        Ok(Some(alignment)) if !alignment.is_power_of_two() => {
            Err(format!("`general.alignment` is {alignment}; expected a power of two"))
        }
        Ok(_) => Ok(()),
        // candle says what is wrong with a malformed header; of a short one it knows no more than this.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(format!("its header ends after {length} bytes: it was cut short"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Steps over GGUF metadata (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
struct Walk<'a, R> {
    reader: &'a mut R,
    length: u64,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn alignment(&mut self) -> io::Result<Option<u64>> {
        let mut magic = [0; 4];
        self.reader.read_exact(&mut magic)?;
        if &magic != b"GGUF" {
            return Err(invalid(format!("it starts with {magic:02x?}; expected the bytes of `GGUF`")));
        }
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(invalid(format!("its version is {version}; versions 2 and 3 are read")));
        }
        let (_tensors, entries) = (self.u64()?, self.u64()?);
        for _ in 0..entries {
            let key_length = self.u64()?;
            if key_length > 65_535 {
                return Err(invalid(format!("a metadata key claims {key_length} bytes; at most 65535 are allowed")));
            }
            let mut key = vec![0; key_length as usize];
            self.reader.read_exact(&mut key)?;
            let kind = self.u32()?;
            if key == b"general.alignment" {
                if kind != 4 {
                    return Err(invalid(format!(
                        "`general.alignment` is of type {kind}; expected an unsigned 32-bit integer"
                    )));
                }
                return self.u32().map(|alignment| Some(u64::from(alignment)));
            }
            self.skip(kind, 0)?;
        }
        Ok(None)
    }

    fn skip(&mut self, kind: u32, depth: usize) -> io::Result<()> {
        let bytes = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => self.u64()?,
            9 if depth < 8 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if count > self.length {
                    return Err(invalid(format!(
                        "an array claims {count} elements in a file of {} bytes",
                        self.length
                    )));
                }
                for _ in 0..count {
                    self.skip(kind, depth + 1)?;
                }
                return Ok(());
            }
            other => {
                return Err(invalid(format!("a metadata value is of the unknown type {other}, or nested too deeply")));
            }
        };
        if bytes > self.length {
            return Err(invalid(format!("a text claims {bytes} bytes in a file of {}", self.length)));
        }
        // Bounded by the check above, so it fits.
        self.reader.seek_relative(bytes as i64)?;
        if self.reader.stream_position()? > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.reader.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama_3_2() -> Config {
        Config {
            family: Family::Llama,
            hidden_size: 2048,
            intermediate_size: 8192,
            num_hidden_layers: 16,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            head_dim: 64,
            vocab_size: 128_256,
            rms_norm_eps: 1e-5,
            rope_theta: 500_000.0,
            rope_scaling: None,
            max_position_embeddings: 131_072,
            tie_word_embeddings: true,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
        }
    }

    #[test]
    fn llama_3_scaling_is_found_from_its_factors() {
        let config = llama_3_2();
        for factor in [8.0, 32.0] {
            let scaling = Llama3RopeScaling {
                factor,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 8192,
            };
            let scaled = Config { rope_scaling: Some(scaling), ..config.clone() }.inverse_frequencies();
            let mut factors: Vec<f32> = config
                .inverse_frequencies()
                .iter()
                .zip(scaled)
                .map(|(plain, scaled)| (plain / scaled) as f32)
                .collect();
            assert_eq!(llama3_scaling(&config, &factors), Some(scaling));
            factors[20] *= 1.1;
            assert_eq!(llama3_scaling(&config, &factors), None);
        }
        assert_eq!(llama3_scaling(&config, &[1.0; 32]), None);
    }

    #[test]
    fn rows_return_to_their_halves() {
        // One head of 4 rows of width 1: a0 b0 a1 b1 (first half a, second half b), interleaved by the converter.
        assert_eq!(unpermute(&[0.0, 10.0, 1.0, 11.0], 4, 1), [0.0, 1.0, 10.0, 11.0]);
        // Two heads, each by itself.
        assert_eq!(unpermute(&[0.0, 1.0, 2.0, 3.0], 2, 1), [0.0, 1.0, 2.0, 3.0]);
    }
}
