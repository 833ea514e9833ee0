//! Every WGSL file against its Rust binding, and its translation to every shading language that drivers use. Needs no GPU.

use crate::cli::folder;
use crate::skip::skip;
use naga::back::{PipelineConstants, glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};
use retrograd::cpu;
use retrograd::kernel::{self, Access, Argument, Kernel, Loads, Scalar, ScanForm, Tile, Variant};
use retrograd::kernels;
use retrograd::kernels::matmul::Form;
use retrograd::model::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// WebGPU's guaranteed limits: bytes of workgroup memory, invocations per workgroup, and storage bindings, of which Metal
/// reserves one.
const WORKGROUP_BYTES: u32 = 16384;
const INVOCATIONS: u32 = 256;
const STORAGE_BINDINGS: usize = 7;
/// Row length that the scans must support within these limits.
const HIDDEN: u32 = 256;
/// One shader text as handed to a device.
struct Shader {
    kernel: &'static Kernel,
    variant: Variant,
    /// Kernel and variant, for messages.
    what: String,
    module: Module,
    info: ModuleInfo,
}

/// All kernels, the tiled ones with every tile and way of loading they support.
fn shaders() -> Vec<Shader> {
    kernels::all().flat_map(|k| variants(k).into_iter().map(move |v| parse(k, v))).collect()
}

/// The name of a kernel without that of its cell.
fn family(kernel: &Kernel) -> &str {
    let cell = kernel.cell.map_or(String::new(), |c| format!("_{}", c.cell));
    kernel.name.strip_suffix(&cell).expect("a kernel of a cell ends with the cell's name")
}

/// Results of a scan's product per unit, and values per unit that it sums over.
fn columns_and_inners(kernel: &Kernel) -> [u32; 2] {
    let gates = kernel.cell.map_or(1, |c| c.cell.spec().gates);
    if kernel.name.contains("forward") { [gates, 1] } else { [1, gates] }
}

fn variants(kernel: &Kernel) -> Vec<Variant> {
    let sliced = |loads: Loads, width| Tile::SLICED.map(|tile| Variant { tile, loads, width });
    let [columns, inners] = columns_and_inners(kernel);
    match family(kernel) {
        // More lanes of this many columns would take more workgroup memory than WebGPU guarantees.
        "scan_forward_held" | "scan_backward_held" => {
            let forms =
                [0, 2].into_iter().flat_map(|blocks| [Tile::T2x4, Tile::T1x4].map(|tile| ScanForm { tile, loads: Loads::Held(blocks), width: INVOCATIONS }));
            return forms.map(|form| limits(Tile::T1x4, Loads::Each).recurrence(form, HIDDEN, 32, columns, inners)).collect();
        }
        // Nor can the sums of more rows and columns be kept there.
        "step_forward" | "step_backward" => {
            return sliced(Loads::Sliced(8), 64).into_iter().filter(|v| 16 * v.width * v.tile.rows() * columns <= WORKGROUP_BYTES).collect();
        }
        "matmul_staged" => {
            let staged = |(tile, side)| Variant { tile, loads: Loads::Staged(side), width: side * side };
            return [(Tile::T8x8, 16), (Tile::T8x8, 8), (Tile::T4x4, 16), (Tile::T4x4, 8)].map(staged).to_vec();
        }
        _ if !kernel.tiled => return vec![Variant { tile: Tile::T8x8, loads: Loads::Each, width: 8 }],
        _ => {}
    }
    let tiles: &[Tile] = match family(kernel) {
        "matmul" => &Tile::MATMUL,
        _ if columns > 1 => &Tile::SLICED,
        _ => &Tile::SCAN,
    };
    let pairs = tiles.iter().flat_map(|&tile| [Loads::Each, Loads::Spread].map(|loads| (tile, loads)));
    pairs.filter(|(tile, loads)| tile.allows(*loads)).map(|(tile, loads)| Variant { tile, loads, width: 8 }).collect()
}

/// An adapter with WebGPU's guaranteed limits that uses this tile for scans, if it fits.
fn limits(scan: Tile, scan_loads: Loads) -> kernel::Capabilities {
    kernel::Capabilities { scan, scan_loads, workgroup_bytes: WORKGROUP_BYTES, workgroup_invocations: INVOCATIONS, ..cpu::capabilities() }
}

fn parse(kernel: &'static Kernel, variant: Variant) -> Shader {
    let text = kernel.text(variant);
    let what =
        if kernel.tiled || kernel.name == "matmul_staged" { format!("{} {} {:?}", kernel.name, variant.tile, variant.loads) } else { kernel.name.to_string() };
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
    // Only kernels that load once per subgroup may need more than WebGPU guarantees.
    let mut validator = Validator::new(ValidationFlags::all(), if subgroups(variant) { Capabilities::SUBGROUP } else { Capabilities::empty() });
    if subgroups(variant) {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
    Shader { kernel, variant, what, module, info }
}

fn subgroups(variant: Variant) -> bool {
    variant.loads == Loads::Spread
}

#[test]
fn bindings_are_as_in_rust() {
    for Shader { kernel, what, module, .. } in shaders() {
        let mut found = Vec::new();
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = &variable.binding else { continue };
            assert_eq!(binding.group, 0, "{what}");
            found.push((binding.binding, variable.name.clone().unwrap_or_default(), variable.space));
        }
        found.sort_by_key(|f| f.0);
        let access = |a: Access| if a == Access::Read { StorageAccess::LOAD } else { StorageAccess::LOAD | StorageAccess::STORE };
        let storage = kernel.bindings.iter().map(|b| (b.name.to_string(), AddressSpace::Storage { access: access(b.access) }));
        let expected = storage.chain([("args".to_string(), AddressSpace::Uniform)]);
        assert_eq!(found, (0..).zip(expected).map(|(i, (name, space))| (i, name, space)).collect::<Vec<_>>(), "{what}");
        assert!(kernel.bindings.len() <= STORAGE_BINDINGS, "{}: too many storage bindings", kernel.name);
    }
}

#[test]
fn arguments_are_as_in_rust() {
    for Shader { kernel, what, module, .. } in shaders() {
        let (_, args) = module.types.iter().find(|(_, t)| t.name.as_deref() == Some("Args")).expect("a struct Args");
        let uniform = module.global_variables.iter().find(|(_, v)| v.space == AddressSpace::Uniform).expect("a uniform").1;
        assert_eq!(module.types[uniform.ty].name, args.name, "{}: type of the uniform", kernel.name);
        let TypeInner::Struct { members, .. } = &args.inner else { panic!("{}: Args is no struct", kernel.name) };
        assert_eq!(members.len(), kernel.args.len(), "{what}");
        for ((i, member), Argument { name, scalar }) in (0..).zip(members).zip(kernel.args) {
            assert_eq!((member.name.as_deref(), member.offset), (Some(*name), 4 * i), "{what}");
            let TypeInner::Scalar(found) = module.types[member.ty].inner else { panic!("{what}: {name} is no scalar") };
            let kind = match scalar {
                Scalar::Uint => ScalarKind::Uint,
                Scalar::Float => ScalarKind::Float,
            };
            assert_eq!((found.kind, found.width), (kind, 4), "{what}: {name}");
        }
    }
}

/// The texts with overrides set for rows of 256 columns: the variant chosen within WebGPU's limits, and each form of the matmul.
fn specialized(shader: &Shader) -> Vec<(String, Module, ModuleInfo)> {
    let Shader { kernel, variant, what, module, info } = shader;
    let (scan, scan_loads) = (variant.tile, variant.loads);
    // 32 rows of this many columns would take twice the workgroup memory that WebGPU guarantees.
    let hidden = if scan == Tile::T32x8 { HIDDEN / 2 } else { HIDDEN };
    let [columns, inners] = columns_and_inners(kernel);
    let variant = match family(kernel) {
        "scan_forward" | "scan_backward" => limits(scan, scan_loads).scan_variant(hidden, 1, columns, inners),
        _ => *variant,
    };
    assert_eq!(variant.tile, scan, "{what}: every tile holds so many columns");
    let forms = if kernel.args.iter().any(|a| a.name == "form") { 0..Form::ALL.len() as u32 } else { 0..1 };
    let specialize = |form| {
        let value = |arg: &Argument| match arg.name {
            "hidden4" => hidden / 4,
            "form" => form,
            "cell" => kernel.cell.map_or(0, |c| c.cell as u32),
            _ => 1,
        };
        let args: Vec<u32> = kernel.args.iter().map(value).collect();
        let constants: PipelineConstants = (kernel.constants)(&args, variant).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let what = format!("{what} {constants:?}");
        let (module, info) = process_overrides(module, info, Some((ShaderStage::Compute, "main")), &constants).unwrap_or_else(|e| panic!("{what}: {e}"));
        (what, module.into_owned(), info.into_owned())
    };
    forms.map(specialize).collect()
}

#[test]
fn workgroups_are_within_the_limits_of_webgpu() {
    for shader in shaders() {
        assert_eq!(shader.module.entry_points.len(), 1, "{}", shader.kernel.name);
        let entry = &shader.module.entry_points[0];
        assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{}", shader.kernel.name);
        for (what, module, _) in specialized(&shader) {
            let invocations: u32 = module.entry_points[0].workgroup_size.iter().product();
            assert!((1..=INVOCATIONS).contains(&invocations), "{what}: {invocations} invocations");
            let workgroup = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
            let bytes: u32 = workgroup.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum();
            assert!(bytes <= WORKGROUP_BYTES, "{what}: {bytes} bytes of workgroup memory");
        }
    }
}

#[test]
fn every_shader_translates() {
    for shader in shaders() {
        for (what, module, info) in specialized(&shader) {
            let target = Target { module: &module, info: &info, subgroups: subgroups(shader.variant) };
            let texts = [target.spirv(), target.metal(), target.direct(), target.open(glsl::Version::new_gles(310)), target.open(glsl::Version::Desktop(430))];
            for (language, text) in ["SPIR-V", "MSL", "HLSL", "GLSL ES 3.1", "GLSL 4.3"].iter().zip(texts) {
                let bytes = text.unwrap_or_else(|e| panic!("{what}: {language}: {e}"));
                assert!(bytes > 0, "{what}: {language}: nothing");
            }
        }
    }
}

/// The SPIR-V for Vulkan drivers passes Khronos' `spirv-val`.
#[test]
fn spirv_is_valid() {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        skip("there is no spirv-val (Debian: apt-get install spirv-tools)");
        return;
    }
    let mut checked = 0;
    for shader in shaders() {
        for (what, module, info) in specialized(&shader) {
            let subgroups = subgroups(shader.variant);
            let words = Target { module: &module, info: &info, subgroups }.spirv_words().unwrap_or_else(|e| panic!("{what}: {e}"));
            let path = folder("spirv").join(format!("{checked}.spv"));
            std::fs::write(&path, words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
            let environment = if subgroups { "vulkan1.1" } else { "vulkan1.0" };
            let done = Command::new("spirv-val").args(["--target-env", environment]).arg(&path).output().unwrap();
            assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
            checked += 1;
        }
    }
    println!("{checked} modules");
    // The tool detects mistakes.
    let path = folder("spirv").join("0.spv");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 8 * 4;
    bytes.truncate(half);
    std::fs::write(&path, bytes).unwrap();
    assert!(!Command::new("spirv-val").arg(&path).output().unwrap().status.success());
}

/// For tests/webgpu.py: every shader text, as JSON.
#[test]
#[ignore = "writes what tests/webgpu.py asks a browser about"]
fn texts_for_a_browser() {
    let of = |s: &Shader| {
        // The standard requires this line if subgroups are used; naga neither needs nor supports it yet.
        let enable = if subgroups(s.variant) { "enable subgroups;\n" } else { "" };
        serde_json::json!({"what": s.what, "text": enable.to_string() + &s.kernel.text(s.variant), "subgroups": subgroups(s.variant)})
    };
    let all: Vec<serde_json::Value> = shaders().iter().map(of).collect();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/shaders.json"), serde_json::to_vec(&all).unwrap()).unwrap();
}

/// A module to translate; each translation returns its length.
struct Target<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
    /// Subgroup operations require newer language versions.
    subgroups: bool,
}

const STAGE: ShaderStage = ShaderStage::Compute;
const CHECKS: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

impl Target<'_> {
    fn spirv(&self) -> Result<usize, String> {
        self.spirv_words().map(|words| words.len())
    }

    fn spirv_words(&self) -> Result<Vec<u32>, String> {
        let lang_version = if self.subgroups { (1, 3) } else { (1, 0) };
        let options = spv::Options { lang_version, bounds_check_policies: CHECKS, ..Default::default() };
        let pipeline = spv::PipelineOptions { shader_stage: STAGE, entry_point: "main".to_string() };
        spv::write_vec(self.module, self.info, &options, Some(&pipeline)).map_err(|e| e.to_string())
    }

    fn metal(&self) -> Result<usize, String> {
        let lang_version = if self.subgroups { (2, 1) } else { (2, 0) };
        let options = msl::Options { lang_version, bounds_check_policies: CHECKS, ..Default::default() };
        let pipeline = msl::PipelineOptions { entry_point: Some((STAGE, "main".to_string())), ..Default::default() };
        let (text, translated) = msl::write_string(self.module, self.info, &options, &pipeline).map_err(|e| e.to_string())?;
        translated.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        Ok(text.len())
    }

    fn direct(&self) -> Result<usize, String> {
        let shader_model = if self.subgroups { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((STAGE, "main".to_string())) };
        let mut text = String::new();
        let reflection = hlsl::Writer::new(&mut text, &options, &pipeline).write(self.module, self.info, None).map_err(|e| e.to_string())?;
        reflection.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        Ok(text.len())
    }

    fn open(&self, version: glsl::Version) -> Result<usize, String> {
        let options = glsl::Options { version, ..Default::default() };
        let pipeline = glsl::PipelineOptions { shader_stage: STAGE, entry_point: "main".to_string(), multiview: None };
        let mut text = String::new();
        let mut writer = glsl::Writer::new(&mut text, self.module, self.info, &options, &pipeline, CHECKS).map_err(|e| e.to_string())?;
        writer.write().map_err(|e| e.to_string())?;
        Ok(text.len())
    }
}

#[test]
fn every_file_is_used() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let entries = |folder: &Path| -> Vec<PathBuf> { std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry of the folder").path()).collect() };
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = entries(Path::new(folder)).into_iter().partition(|p| p.is_dir());
    files.extend(folders.iter().flat_map(|f| entries(f)));
    let texts: Vec<(&str, String)> = kernels::all().map(|k| (family(k), k.text(variants(k)[0]))).collect();
    let mut stems = Vec::new();
    for path in files {
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("wgsl"), "{}", path.display());
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name in UTF-8").to_string();
        let text = std::fs::read_to_string(&path).expect("a readable shader");
        // A kernel's file must be used by that kernel, any other by some kernel.
        let own = texts.iter().any(|(name, _)| *name == stem);
        let mut users = texts.iter().filter(|(name, _)| !own || *name == stem);
        assert!(users.any(|(_, whole)| whole.contains(&text)), "{stem} is used by nothing");
        stems.push(stem);
    }
    stems.sort_unstable();
    let shared = ["backward_args", "common", "forward_args", "parked"].into_iter();
    let cells = Cell::ALL.map(|c| c.to_string());
    let mut expected: Vec<String> = texts.iter().map(|(name, _)| *name).chain(shared).map(String::from).chain(cells).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(stems, expected);
}
