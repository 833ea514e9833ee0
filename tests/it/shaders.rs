//! Every WGSL file against its Rust binding, and its translation to every language that a driver may want. Needs no GPU.

use naga::back::{PipelineConstants, glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};
use retrograd::cpu;
use retrograd::kernel::{self, Access, Kernel, Tile, Variant};
use retrograd::kernels::KERNELS;

/// What WebGPU grants everywhere: bytes of workgroup memory, invocations of a workgroup, and storage bindings, of which Metal
/// needs one for itself.
const WORKGROUP_BYTES: u32 = 16384;
const INVOCATIONS: u32 = 256;
const STORAGE_BINDINGS: usize = 7;
/// Columns of the rows that the scans must hold within these limits.
const HIDDEN: u32 = 256;

/// One text that is handed to a device.
struct Shader {
    kernel: &'static Kernel,
    tile: Tile,
    module: Module,
    info: ModuleInfo,
}

/// All kernels, the tiled ones with every tile.
fn shaders() -> Vec<Shader> {
    let tiles = |k: &Kernel| if k.tiled { &Tile::ALL[..] } else { &Tile::ALL[..1] };
    KERNELS.iter().flat_map(|k| tiles(k).iter().map(|tile| parse(k, *tile))).collect()
}

fn parse(kernel: &'static Kernel, tile: Tile) -> Shader {
    let text = format!("{}{}", kernel.source, if kernel.tiled { tile.source() } else { "" });
    let what = |e: String| format!("{} {tile}: {e}", kernel.name);
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{}", what(e.emit_to_string(&text))));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{}", what(e.emit_to_string(&text))));
    Shader { kernel, tile, module, info }
}

#[test]
fn bindings_are_as_in_rust() {
    for Shader { kernel, tile, module, .. } in shaders() {
        let mut found = Vec::new();
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = &variable.binding else { continue };
            assert_eq!(binding.group, 0, "{} {tile}", kernel.name);
            found.push((binding.binding, variable.name.clone().unwrap_or_default(), variable.space));
        }
        found.sort_by_key(|f| f.0);
        let access = |a: Access| if a == Access::Read { StorageAccess::LOAD } else { StorageAccess::LOAD | StorageAccess::STORE };
        let storage = kernel.bindings.iter().map(|b| (b.name.to_string(), AddressSpace::Storage { access: access(b.access) }));
        let expected = storage.chain([("args".to_string(), AddressSpace::Uniform)]);
        assert_eq!(found, (0..).zip(expected).map(|(i, (name, space))| (i, name, space)).collect::<Vec<_>>(), "{} {tile}", kernel.name);
        assert!(kernel.bindings.len() <= STORAGE_BINDINGS, "{}: too many storage bindings", kernel.name);
    }
}

#[test]
fn arguments_are_as_in_rust() {
    for Shader { kernel, tile, module, .. } in shaders() {
        let (_, args) = module.types.iter().find(|(_, t)| t.name.as_deref() == Some("Args")).expect("a struct Args");
        let uniform = module.global_variables.iter().find(|(_, v)| v.space == AddressSpace::Uniform).expect("a uniform").1;
        assert_eq!(module.types[uniform.ty].name, args.name, "{}: type of the uniform", kernel.name);
        let TypeInner::Struct { members, .. } = &args.inner else { panic!("{}: Args is no struct", kernel.name) };
        let names: Vec<&str> = members.iter().filter_map(|m| m.name.as_deref()).collect();
        assert_eq!(names, kernel.args, "{} {tile}", kernel.name);
        for (i, member) in (0..).zip(members) {
            let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("{}: {:?} is no scalar", kernel.name, member.name) };
            assert!(scalar.width == 4 && matches!(scalar.kind, ScalarKind::Uint | ScalarKind::Float), "{}: {:?}", kernel.name, member.name);
            assert_eq!(member.offset, 4 * i, "{}: {:?}", kernel.name, member.name);
        }
    }
}

/// The texts with their overrides set as for rows of 256 columns: with the variant that a device of WebGPU's limits takes, and
/// each form of the matmul.
fn specialized(shader: &Shader) -> Vec<(String, Module, ModuleInfo)> {
    let Shader { kernel, tile, module, info } = shader;
    let limits = kernel::Capabilities { scan: *tile, workgroup_bytes: WORKGROUP_BYTES, workgroup_invocations: INVOCATIONS, ..cpu::capabilities() };
    let variant = match kernel.name {
        "scan_forward" | "scan_backward" => limits.scan_variant(HIDDEN).expect("the smallest tile's rows fit"),
        _ => Variant { tile: *tile, width: 8 },
    };
    assert_eq!(variant.tile, *tile, "{}: every tile holds 256 columns", kernel.name);
    let forms = if kernel.args.contains(&"form") { 0..4 } else { 0..1 };
    let specialize = |form| {
        let value = |name: &&str| match *name {
            "hidden4" => HIDDEN / 4,
            "form" => form,
            _ => 1,
        };
        let args: Vec<u32> = kernel.args.iter().map(value).collect();
        let constants: PipelineConstants = (kernel.constants)(&args, variant).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let what = format!("{} {tile} {constants:?}", kernel.name);
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
            let text = translations(&module, &info).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(text.iter().all(|t| !t.is_empty()), "{what}: an empty translation");
        }
    }
}

/// SPIR-V, MSL, HLSL and GLSL (OpenGL ES 3.1, and OpenGL 4.3) of a module.
fn translations(module: &Module, info: &ModuleInfo) -> Result<[Vec<u8>; 5], String> {
    let stage = ShaderStage::Compute;
    let entry = || Some((stage, "main".to_string()));
    let checks = BoundsCheckPolicies { index: BoundsCheckPolicy::Restrict, buffer: BoundsCheckPolicy::Restrict, ..Default::default() };

    let options = spv::Options { bounds_check_policies: checks, ..Default::default() };
    let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: "main".to_string() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| format!("SPIR-V: {e}"))?;

    let options = msl::Options { lang_version: (2, 0), bounds_check_policies: checks, ..Default::default() };
    let pipeline = msl::PipelineOptions { entry_point: entry(), ..Default::default() };
    let (metal, translated) = msl::write_string(module, info, &options, &pipeline).map_err(|e| format!("MSL: {e}"))?;

    translated.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| format!("MSL: {e}"))?;

    let mut direct = String::new();
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions { entry_point: entry() });
    let reflection = hlsl::Writer::new(&mut direct, &options, &pipeline).write(module, info, None).map_err(|e| format!("HLSL: {e}"))?;
    reflection.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| format!("HLSL: {e}"))?;

    let mut open = [glsl::Version::new_gles(310), glsl::Version::Desktop(430)].into_iter().map(|version| {
        let mut text = String::new();
        let options = glsl::Options { version, ..Default::default() };
        let pipeline = glsl::PipelineOptions { shader_stage: stage, entry_point: "main".to_string(), multiview: None };
        let mut writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, checks).map_err(|e| format!("GLSL {version:?}: {e}"))?;
        writer.write().map_err(|e| format!("GLSL {version:?}: {e}"))?;
        Ok::<_, String>(text.into_bytes())
    });
    let mut next = || open.next().expect("two versions");
    Ok([words.iter().flat_map(|w| w.to_le_bytes()).collect(), metal.into_bytes(), direct.into_bytes(), next()?, next()?])
}

#[test]
fn every_file_is_used() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let mut stems = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the shaders") {
        let path = entry.expect("an entry of the folder").path();
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("wgsl"), "{}", path.display());
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name in UTF-8").to_string();
        let text = std::fs::read_to_string(&path).expect("a readable shader");
        assert!(users(&stem).iter().any(|source| source.ends_with(&text) || stem == "phi" && source.starts_with(&text)), "{stem} is used by nothing");
        stems.push(stem);
    }
    stems.sort_unstable();
    let mut expected: Vec<String> = KERNELS.iter().map(|k| k.name.to_string()).chain(Tile::ALL.map(tile_stem)).chain(["phi".to_string()]).collect();
    expected.sort_unstable();
    assert_eq!(stems, expected);
}

fn tile_stem(tile: Tile) -> String {
    format!("tile_{tile}")
}

/// The texts that may contain the file of this stem.
fn users(stem: &str) -> Vec<&'static str> {
    let tile = Tile::ALL.into_iter().filter(|t| tile_stem(*t) == stem).map(Tile::source);
    KERNELS.iter().filter(|k| stem == "phi" || k.name == stem).map(|k| k.source).chain(tile).collect()
}
