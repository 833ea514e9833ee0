//! Event files of TensorBoard: records with masked checksums (TFRecord framing), each one protocol buffer.

use super::protobuf::Message;

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

/// The masked checksum that records store: a plain one is of little use over data that itself holds checksums.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A record: length, its checksum, data, its checksum.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// The content of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum What<'a> {
    /// The first one: the version of the format.
    Version,
    /// A process begins: discards what others wrote for this step or later.
    Start,
    /// Values by name.
    Scalars(&'a [(String, f64)]),
    /// A name and its text, in Markdown.
    Text(&'a str, &'a str),
}

/// An event as a record; `wall_time` in seconds since 1970.
pub fn event(wall_time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    // A missing field reads as step 0.
    let out = Message::default().double(1, wall_time).all((step != 0).then_some(step), |m, step| m.int(2, step as i64));
    let summary = |values: Message| Message::default().message(5, &values).0;
    let out = [
        out.0,
        match what {
            What::Version => Message::default().text(3, "brain.Event:2").0,
            // SessionLog { status: START }
            What::Start => Message::default().message(7, &Message::default().int(1, 1)).0,
            What::Scalars(values) => {
                let value = |(name, x): &(String, f64)| Message::default().text(1, name).float(2, *x as f32);
                summary(Message::default().all(*values, |m, v| m.message(1, &value(v))))
            }
            What::Text(name, text) => {
                // TensorProto { dtype: DT_STRING, tensor_shape: [1], string_val }
                let shape = Message::default().message(2, &Message::default().int(1, 1));
                let tensor = Message::default().int(1, 7).message(2, &shape).text(8, text);
                // SummaryMetadata { plugin_data: { plugin_name } }
                let metadata = Message::default().message(1, &Message::default().text(1, "text"));
                summary(Message::default().message(1, &Message::default().text(1, name).message(8, &tensor).message(9, &metadata)))
            }
        },
    ];
    record(&out.concat())
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

    /// The bytes that TensorBoard's own writer produces for the same events.
    #[test]
    fn records_are_byte_exact() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let version = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
        assert_eq!(hex(event(1.5, 0, &What::Version)), version);
        let scalar = "2100000000000000017becf60900001040fc54d94110ac022a130a110a0a6c6f73732f747261696e150000a03f155af624";
        assert_eq!(hex(event(1_700_000_000.25, 300, &What::Scalars(&[("loss/train".to_string(), 1.25)]))), scalar);
    }
}
