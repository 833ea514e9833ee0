//! The safetensors format: named f32 tensors and text metadata, with a checksum over both. The crate `safetensors` reads it; writing is
//! done here, in order of names, because equal content must give equal bytes.

use crate::error::{Error, Result};
use crate::files;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Metadata key of the checksum.
pub(super) const CHECKSUM: &str = "checksum";

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Container {
    /// Text by name.
    pub metadata: BTreeMap<String, String>,
    /// Shape and values by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Container {
    /// Adds a tensor.
    pub fn put(&mut self, name: impl Into<String>, shape: &[u32], numbers: Vec<f32>) {
        self.tensors.insert(name.into(), (shape.iter().map(|&n| n as usize).collect(), numbers));
    }

    /// Removes and returns a tensor of the given shape.
    ///
    /// # Errors
    /// [`Error::Input`] if it isn't there or has another shape.
    pub fn take(&mut self, name: &str, shape: &[u32]) -> Result<Vec<f32>> {
        let expected: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        match self.tensors.remove(name) {
            Some((found, numbers)) if found == expected => Ok(numbers),
            Some((found, _)) => Err(Error::Input(format!("tensor {name} has the shape {found:?}, not {expected:?}"))),
            None => Err(Error::Input(format!("tensor {name} {expected:?} is missing"))),
        }
    }

    /// Returns a required text of the metadata.
    ///
    /// # Errors
    /// [`Error::Input`] if it isn't.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.metadata.get(name).map(String::as_str).ok_or_else(|| Error::Input(format!("the metadata has no `{name}`: it is not a file of this program")))
    }

    /// The header, with or without a checksum.
    fn header(&self, checksum: Option<&str>) -> Vec<u8> {
        let mut metadata = self.metadata.clone();
        checksum.map(|c| metadata.insert(CHECKSUM.to_string(), c.to_string()));
        let mut header = BTreeMap::from([("__metadata__".to_string(), json!(metadata))]);
        let mut at = 0;
        for (name, (shape, numbers)) in &self.tensors {
            let end = at + numbers.len() * 4;
            header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]}));
            at = end;
        }
        let mut text = json!(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        text
    }

    fn checksum(&self) -> String {
        let header = self.header(None);
        let data = self.tensors.values().map(|(_, numbers)| bytemuck::cast_slice(numbers));
        files::checksum(std::iter::once(&header[..]).chain(data))
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = self.header(Some(&self.checksum()));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        self.tensors.values().for_each(|(_, numbers)| bytes.extend_from_slice(bytemuck::cast_slice(numbers)));
        bytes
    }

    /// Reads bytes. If there is a checksum, it must match. Without one (a file of another program), the metadata may have only these `names`, and
    /// the file is refused if the checksum is among them.
    ///
    /// # Errors
    /// [`Error::Input`] if they are damaged, truncated, or of another format.
    pub fn from_bytes(bytes: &[u8], names: &[&str]) -> Result<Self> {
        let damaged = |e: &dyn std::fmt::Display| {
            Error::Input(format!("not a whole safetensors file ({e}): it was cut short, or is something else; give a model file, or another copy of it"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let mut container = Container { metadata: header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(), ..Container::default() };
        let checksum = container.metadata.remove(CHECKSUM);
        for (name, tensor) in file.tensors() {
            if tensor.dtype() != Dtype::F32 {
                return Err(Error::Input(format!("tensor {name} holds {:?}, not F32; convert it", tensor.dtype())));
            }
            container.tensors.insert(name, (tensor.shape().to_vec(), bytemuck::pod_collect_to_vec(tensor.data())));
        }
        match checksum {
            Some(sum) if sum != container.checksum() => {
                Err(Error::Input("its content does not fit its checksum: it is damaged; take another copy".to_string()))
            }
            Some(_) => Ok(container),
            None if names.contains(&CHECKSUM) => Err(Error::Input("it has no checksum: it is damaged, or of another program".to_string())),
            None => match container.metadata.keys().find(|k| !names.contains(&k.as_str())) {
                Some(name) => Err(Error::Input(format!("its metadata has {name:?}, expected {}: it is damaged, or of another program", names.join(", ")))),
                None => Ok(container),
            },
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file.
    pub fn read(path: &Path, names: &[&str]) -> Result<Self> {
        Self::from_bytes(&files::read(path)?, names).map_err(|e| in_file(path, e))
    }
}

/// Prefixes an error with the file's name.
pub(super) fn in_file(path: &Path, e: Error) -> Error {
    match e {
        Error::Input(message) => Error::Input(format!("{}: {message}", path.display())),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        let mut c = Container { metadata: BTreeMap::from([("a".into(), "b \"é\"".into()), ("z".into(), "1".into())]), ..Container::default() };
        c.put("w.1", &[2, 3], vec![1.0, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 1e30]);
        c.put("v", &[0], vec![]);
        c.put("b", &[1], vec![0.1]);
        c
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = container().to_bytes();
        assert_eq!(Container::from_bytes(&bytes, &["a", "z"]).unwrap(), container());
        assert_eq!(bytes, container().to_bytes());
    }

    /// Every truncation and every flipped bit is detected.
    #[test]
    fn damage_is_noticed() {
        let good = container().to_bytes();
        for end in 0..good.len() {
            assert!(Container::from_bytes(&good[..end], &["a", "z"]).is_err(), "cut at {end}");
        }
        for i in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[i / 8] ^= 1 << (i % 8);
            let read = Container::from_bytes(&bad, &["a", "z"]);
            assert!(read.is_err() || read.as_ref().is_ok_and(|r| *r == container()), "bit {i}: {read:?}");
        }
        assert!(Container::from_bytes(b"not this format at all", &[]).is_err());
    }

    #[test]
    fn tensors_are_taken_by_name_and_shape() {
        let mut c = container();
        assert_eq!(c.take("b", &[1]).unwrap(), [0.1]);
        assert!(c.take("b", &[1]).unwrap_err().to_string().contains("missing"));
        assert!(c.take("w.1", &[3, 2]).unwrap_err().to_string().contains("[2, 3], not [3, 2]"));
    }
}
