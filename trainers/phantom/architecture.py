"""The tiny backbone of the embedded default: an ordinary LLaVA, a third of a million parameters.

It is saved as a plain Hugging Face folder, so that ``AutoModelForImageTextToText`` and ``AutoProcessor`` load it
like any other backbone. Dimensions follow a feasibility study; images are 48 pixels wide, there 32, because small
spots were capped by what the vision tower could see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from datasets_spec.phantom.questions import INSTRUCTION, LETTERS
from datasets_spec.phantom.world import IMAGE_SIZE
from trainers.phantom.words import generic_words

PATCH_SIZE: Final = 12  # one patch is one cell of the phantom world
NUM_IMAGE_TOKENS: Final = (IMAGE_SIZE // PATCH_SIZE) ** 2
HIDDEN_SIZE: Final = 64
NUM_VISION_LAYERS: Final = 3
NUM_TEXT_LAYERS: Final = 4
NUM_HEADS: Final = 4
MAX_TOKENS: Final = 256

# Grey level and spread of the corpus's images, so that the tower sees inputs near unit variance.
PIXEL_MEAN: Final = 0.5
PIXEL_STD: Final = 0.2

PAD, UNK, EOS, IMAGE, ANSWER = "<pad>", "<unk>", "<eos>", "<image>", "<answer>"
SPECIAL_TOKENS: Final = (PAD, UNK, EOS, IMAGE, ANSWER)
NEWLINE, CHOOSE = "<nl>", "<choose>"

# Several images are announced by their ordinals, which is how questions about several refer to them.
CHAT_TEMPLATE: Final = (
    "{%- set ordinals = ['first', 'second', 'third', 'fourth'] -%}"
    "{%- for message in messages -%}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}"
    "{%- set images = message['content'] | selectattr('type', 'equalto', 'image') | list -%}"
    "{%- for image in images -%}"
    "{%- if images | length > 1 -%}{{ ordinals[[loop.index0, 3] | min] }}{%- endif -%}"
    "<image>"
    "{%- endfor -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}<eos>{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<answer>{%- endif -%}"
)


def vocabulary() -> dict[str, int]:
    """Every token of the backbone with its id: special tokens, layout tokens, letters, then words."""
    words = {*generic_words(), "fourth"}
    layout = [NEWLINE, CHOOSE, *LETTERS]
    ordered = [*SPECIAL_TOKENS, *layout, *sorted(words - set(layout))]
    return {token: index for index, token in enumerate(ordered)}


def build_tokenizer() -> Any:
    """The word-level fast tokenizer.

    Splitting at white space would drop newlines and glue punctuation to words, so a normaliser first turns
    the newline and the instruction sentence into words of their own.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel(vocabulary(), unk_token=UNK))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(INSTRUCTION, f" {CHOOSE} "),
            normalizers.Replace("\n", f" {NEWLINE} "),
            normalizers.Replace(":", " "),
            normalizers.Replace("?", " ? "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNK,
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=[IMAGE, ANSWER],
        padding_side="left",
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def build_processor() -> Any:
    """Tokenizer, image preparation (without torchvision) and chat template as one LLaVA processor."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(
        do_resize=True,
        size=size,
        do_center_crop=False,
        crop_size=size,
        do_convert_rgb=True,
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the tower's class token, dropped again by the strategy above
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def build_config() -> Any:
    """The LLaVA configuration, with ids taken from ``vocabulary()``."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    ids = vocabulary()
    vision = CLIPVisionConfig(
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        projection_dim=HIDDEN_SIZE,
        num_hidden_layers=NUM_VISION_LAYERS,
        num_attention_heads=NUM_HEADS,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        num_channels=3,
    )
    text = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=3 * HIDDEN_SIZE,
        num_hidden_layers=NUM_TEXT_LAYERS,
        num_attention_heads=NUM_HEADS,
        num_key_value_heads=NUM_HEADS,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.06,
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
        bos_token_id=None,
        eos_token_id=ids[EOS],
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids[IMAGE],
        image_seq_length=NUM_IMAGE_TOKENS,
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,  # must be said at both levels
        pad_token_id=ids[PAD],
        eos_token_id=ids[EOS],
    )


def new_model(seed: int) -> Any:
    """An untrained backbone with weights drawn from ``seed``."""
    import torch
    from transformers import GenerationConfig, LlavaForConditionalGeneration

    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config())
    ids = vocabulary()
    model.generation_config = GenerationConfig(
        pad_token_id=ids[PAD], eos_token_id=ids[EOS], max_new_tokens=4, do_sample=False
    )
    # The class's tower keeps a last norm that the chosen feature layer never reaches; without a gradient it
    # makes distributed training complain of unused parameters.
    model.model.vision_tower.post_layernorm.requires_grad_(False)
    return model


def save_backbone(model: Any, out_dir: Path) -> None:
    """Write weights (safetensors), configuration and processor as one Hugging Face folder."""
    out_dir.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out_dir)
    build_processor().save_pretrained(out_dir)
    for path in out_dir.iterdir():
        path.chmod(0o644)  # the weights file is written for its owner alone
