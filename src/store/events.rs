//! Event files, as TensorBoard reads them: records with masked checksums (the framing of TFRecord), each of them one protocol buffer.
//!
//! It takes a checksum and five small messages, so they are written here: a generator of protocol buffers and its build step would be
//! more to keep than this file.

/// CRC-32C (Castagnoli) of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// A checksum as records hold it: of data that holds checksums itself, it would be of little use.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A record: length, its checksum, data, its checksum.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum What<'a> {
    /// The first one: the version of the format.
    Version,
    /// A process begins: what was written by another of this step or later is to be forgotten.
    Start,
    /// Numbers by their names.
    Scalars(&'a [(String, f64)]),
    /// A text, Markdown, by its name.
    Text(&'a str, &'a str),
}

/// An event as a record; `wall_time` in seconds since 1970.
pub fn event(wall_time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    let mut out = Message::default();
    out.double(1, wall_time);
    out.number(2, step);
    match what {
        What::Version => out.bytes(3, b"brain.Event:2"),
        // SessionLog { status: START }
        What::Start => out.message(7, |log| log.number(1, 1)),
        What::Scalars(values) => out.message(5, |summary| {
            for (name, value) in *values {
                summary.message(1, |v| {
                    v.bytes(1, name.as_bytes());
                    v.float(2, *value as f32);
                });
            }
        }),
        What::Text(name, text) => out.message(5, |summary| {
            summary.message(1, |v| {
                v.bytes(1, name.as_bytes());
                // TensorProto { dtype: DT_STRING, tensor_shape: [1], string_val }
                v.message(8, |tensor| {
                    tensor.number(1, 7);
                    tensor.message(2, |shape| shape.message(2, |dim| dim.number(1, 1)));
                    tensor.bytes(8, text.as_bytes());
                });
                // SummaryMetadata { plugin_data: { plugin_name } }
                v.message(9, |metadata| metadata.message(1, |plugin| plugin.bytes(1, b"text")));
            });
        }),
    }
    record(&out.0)
}

/// A protocol buffer that grows field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    /// A field's number and how its value is written.
    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    /// Zero is what a missing field is.
    fn number(&mut self, field: u64, n: u64) {
        if n != 0 {
            self.key(field, 0);
            self.varint(n);
        }
    }

    fn double(&mut self, field: u64, x: f64) {
        self.key(field, 1);
        self.0.extend(x.to_le_bytes());
    }

    fn float(&mut self, field: u64, x: f32) {
        self.key(field, 5);
        self.0.extend(x.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogue, and those of RFC 3720, B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    /// The bytes that TensorBoard's own writer makes of the same events.
    #[test]
    fn records_are_byte_exact() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let version = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
        assert_eq!(hex(event(1.5, 0, &What::Version)), version);
        let scalar = "2100000000000000017becf60900001040fc54d94110ac022a130a110a0a6c6f73732f747261696e150000a03f155af624";
        assert_eq!(hex(event(1_700_000_000.25, 300, &What::Scalars(&[("loss/train".to_string(), 1.25)]))), scalar);
    }
}
