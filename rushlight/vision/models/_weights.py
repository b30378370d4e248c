"""The files of trained weights: of each model the name, the crop and the size before it."""

from __future__ import annotations

from typing import Any, Final

#: By model and by name: the file, the size of images, and the size they are cut from.
FILES: Final[dict[str, dict[str, Any]]] = {
    "alexnet": {
        "IMAGENET1K_V1": ("alexnet-owt-7be5be79.pth", 224, 256),
        "DEFAULT": ("alexnet-owt-7be5be79.pth", 224, 256),
    },
    "vgg11": {
        "IMAGENET1K_V1": ("vgg11-8a719046.pth", 224, 256),
        "DEFAULT": ("vgg11-8a719046.pth", 224, 256),
    },
    "vgg11_bn": {
        "IMAGENET1K_V1": ("vgg11_bn-6002323d.pth", 224, 256),
        "DEFAULT": ("vgg11_bn-6002323d.pth", 224, 256),
    },
    "vgg13": {
        "IMAGENET1K_V1": ("vgg13-19584684.pth", 224, 256),
        "DEFAULT": ("vgg13-19584684.pth", 224, 256),
    },
    "vgg13_bn": {
        "IMAGENET1K_V1": ("vgg13_bn-abd245e5.pth", 224, 256),
        "DEFAULT": ("vgg13_bn-abd245e5.pth", 224, 256),
    },
    "vgg16": {
        "IMAGENET1K_V1": ("vgg16-397923af.pth", 224, 256),
        "IMAGENET1K_FEATURES": ("vgg16_features-amdegroot-88682ab5.pth", 224, 256),
        "DEFAULT": ("vgg16-397923af.pth", 224, 256),
    },
    "vgg16_bn": {
        "IMAGENET1K_V1": ("vgg16_bn-6c64b313.pth", 224, 256),
        "DEFAULT": ("vgg16_bn-6c64b313.pth", 224, 256),
    },
    "vgg19": {
        "IMAGENET1K_V1": ("vgg19-dcbb9e9d.pth", 224, 256),
        "DEFAULT": ("vgg19-dcbb9e9d.pth", 224, 256),
    },
    "vgg19_bn": {
        "IMAGENET1K_V1": ("vgg19_bn-c79401a0.pth", 224, 256),
        "DEFAULT": ("vgg19_bn-c79401a0.pth", 224, 256),
    },
    "resnet18": {
        "IMAGENET1K_V1": ("resnet18-f37072fd.pth", 224, 256),
        "DEFAULT": ("resnet18-f37072fd.pth", 224, 256),
    },
    "resnet34": {
        "IMAGENET1K_V1": ("resnet34-b627a593.pth", 224, 256),
        "DEFAULT": ("resnet34-b627a593.pth", 224, 256),
    },
    "resnet50": {
        "IMAGENET1K_V1": ("resnet50-0676ba61.pth", 224, 256),
        "IMAGENET1K_V2": ("resnet50-11ad3fa6.pth", 224, 232),
        "DEFAULT": ("resnet50-11ad3fa6.pth", 224, 232),
    },
    "resnet101": {
        "IMAGENET1K_V1": ("resnet101-63fe2227.pth", 224, 256),
        "IMAGENET1K_V2": ("resnet101-cd907fc2.pth", 224, 232),
        "DEFAULT": ("resnet101-cd907fc2.pth", 224, 232),
    },
    "resnet152": {
        "IMAGENET1K_V1": ("resnet152-394f9c45.pth", 224, 256),
        "IMAGENET1K_V2": ("resnet152-f82ba261.pth", 224, 232),
        "DEFAULT": ("resnet152-f82ba261.pth", 224, 232),
    },
    "resnext50_32x4d": {
        "IMAGENET1K_V1": ("resnext50_32x4d-7cdf4587.pth", 224, 256),
        "IMAGENET1K_V2": ("resnext50_32x4d-1a0047aa.pth", 224, 232),
        "DEFAULT": ("resnext50_32x4d-1a0047aa.pth", 224, 232),
    },
    "resnext101_32x8d": {
        "IMAGENET1K_V1": ("resnext101_32x8d-8ba56ff5.pth", 224, 256),
        "IMAGENET1K_V2": ("resnext101_32x8d-110c445d.pth", 224, 232),
        "DEFAULT": ("resnext101_32x8d-110c445d.pth", 224, 232),
    },
    "resnext101_64x4d": {
        "IMAGENET1K_V1": ("resnext101_64x4d-173b62eb.pth", 224, 232),
        "DEFAULT": ("resnext101_64x4d-173b62eb.pth", 224, 232),
    },
    "wide_resnet50_2": {
        "IMAGENET1K_V1": ("wide_resnet50_2-95faca4d.pth", 224, 256),
        "IMAGENET1K_V2": ("wide_resnet50_2-9ba9bcbe.pth", 224, 232),
        "DEFAULT": ("wide_resnet50_2-9ba9bcbe.pth", 224, 232),
    },
    "wide_resnet101_2": {
        "IMAGENET1K_V1": ("wide_resnet101_2-32ee1156.pth", 224, 256),
        "IMAGENET1K_V2": ("wide_resnet101_2-d733dc28.pth", 224, 232),
        "DEFAULT": ("wide_resnet101_2-d733dc28.pth", 224, 232),
    },
    "densenet121": {
        "IMAGENET1K_V1": ("densenet121-a639ec97.pth", 224, 256),
        "DEFAULT": ("densenet121-a639ec97.pth", 224, 256),
    },
    "densenet161": {
        "IMAGENET1K_V1": ("densenet161-8d451a50.pth", 224, 256),
        "DEFAULT": ("densenet161-8d451a50.pth", 224, 256),
    },
    "densenet169": {
        "IMAGENET1K_V1": ("densenet169-b2777c0a.pth", 224, 256),
        "DEFAULT": ("densenet169-b2777c0a.pth", 224, 256),
    },
    "densenet201": {
        "IMAGENET1K_V1": ("densenet201-c1103571.pth", 224, 256),
        "DEFAULT": ("densenet201-c1103571.pth", 224, 256),
    },
    "squeezenet1_0": {
        "IMAGENET1K_V1": ("squeezenet1_0-b66bff10.pth", 224, 256),
        "DEFAULT": ("squeezenet1_0-b66bff10.pth", 224, 256),
    },
    "squeezenet1_1": {
        "IMAGENET1K_V1": ("squeezenet1_1-b8a52dc0.pth", 224, 256),
        "DEFAULT": ("squeezenet1_1-b8a52dc0.pth", 224, 256),
    },
    "mobilenet_v2": {
        "IMAGENET1K_V1": ("mobilenet_v2-b0353104.pth", 224, 256),
        "IMAGENET1K_V2": ("mobilenet_v2-7ebf99e0.pth", 224, 232),
        "DEFAULT": ("mobilenet_v2-7ebf99e0.pth", 224, 232),
    },
    "mobilenet_v3_large": {
        "IMAGENET1K_V1": ("mobilenet_v3_large-8738ca79.pth", 224, 256),
        "IMAGENET1K_V2": ("mobilenet_v3_large-5c1a4163.pth", 224, 232),
        "DEFAULT": ("mobilenet_v3_large-5c1a4163.pth", 224, 232),
    },
    "mobilenet_v3_small": {
        "IMAGENET1K_V1": ("mobilenet_v3_small-047dcff4.pth", 224, 256),
        "DEFAULT": ("mobilenet_v3_small-047dcff4.pth", 224, 256),
    },
    "googlenet": {
        "IMAGENET1K_V1": ("googlenet-1378be20.pth", 224, 256),
        "DEFAULT": ("googlenet-1378be20.pth", 224, 256),
    },
    "vit_b_16": {
        "IMAGENET1K_V1": ("vit_b_16-c867db91.pth", 224, 256),
        "IMAGENET1K_SWAG_E2E_V1": ("vit_b_16_swag-9ac1b537.pth", 384, 384),
        "IMAGENET1K_SWAG_LINEAR_V1": ("vit_b_16_lc_swag-4e70ced5.pth", 224, 224),
        "DEFAULT": ("vit_b_16-c867db91.pth", 224, 256),
    },
    "vit_b_32": {
        "IMAGENET1K_V1": ("vit_b_32-d86f8d99.pth", 224, 256),
        "DEFAULT": ("vit_b_32-d86f8d99.pth", 224, 256),
    },
    "vit_l_16": {
        "IMAGENET1K_V1": ("vit_l_16-852ce7e3.pth", 224, 242),
        "IMAGENET1K_SWAG_E2E_V1": ("vit_l_16_swag-4f3808c9.pth", 512, 512),
        "IMAGENET1K_SWAG_LINEAR_V1": ("vit_l_16_lc_swag-4d563306.pth", 224, 224),
        "DEFAULT": ("vit_l_16-852ce7e3.pth", 224, 242),
    },
    "vit_l_32": {
        "IMAGENET1K_V1": ("vit_l_32-c7638314.pth", 224, 256),
        "DEFAULT": ("vit_l_32-c7638314.pth", 224, 256),
    },
    "vit_h_14": {
        "IMAGENET1K_SWAG_E2E_V1": ("vit_h_14_swag-80465313.pth", 518, 518),
        "IMAGENET1K_SWAG_LINEAR_V1": ("vit_h_14_lc_swag-c1eb923e.pth", 224, 224),
        "DEFAULT": ("vit_h_14_swag-80465313.pth", 518, 518),
    },
}
_ENUMS: Final = {
    "alexnet": "AlexNet_Weights",
    "vgg11": "VGG11_Weights",
    "vgg11_bn": "VGG11_BN_Weights",
    "vgg13": "VGG13_Weights",
    "vgg13_bn": "VGG13_BN_Weights",
    "vgg16": "VGG16_Weights",
    "vgg16_bn": "VGG16_BN_Weights",
    "vgg19": "VGG19_Weights",
    "vgg19_bn": "VGG19_BN_Weights",
    "resnet18": "ResNet18_Weights",
    "resnet34": "ResNet34_Weights",
    "resnet50": "ResNet50_Weights",
    "resnet101": "ResNet101_Weights",
    "resnet152": "ResNet152_Weights",
    "resnext50_32x4d": "ResNeXt50_32X4D_Weights",
    "resnext101_32x8d": "ResNeXt101_32X8D_Weights",
    "resnext101_64x4d": "ResNeXt101_64X4D_Weights",
    "wide_resnet50_2": "Wide_ResNet50_2_Weights",
    "wide_resnet101_2": "Wide_ResNet101_2_Weights",
    "densenet121": "DenseNet121_Weights",
    "densenet161": "DenseNet161_Weights",
    "densenet169": "DenseNet169_Weights",
    "densenet201": "DenseNet201_Weights",
    "squeezenet1_0": "SqueezeNet1_0_Weights",
    "squeezenet1_1": "SqueezeNet1_1_Weights",
    "mobilenet_v2": "MobileNet_V2_Weights",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights",
    "mobilenet_v3_small": "MobileNet_V3_Small_Weights",
    "googlenet": "GoogLeNet_Weights",
    "vit_b_16": "ViT_B_16_Weights",
    "vit_b_32": "ViT_B_32_Weights",
    "vit_l_16": "ViT_L_16_Weights",
    "vit_l_32": "ViT_L_32_Weights",
    "vit_h_14": "ViT_H_14_Weights",
}


def enum_name(model: str) -> str:
    """The name of the class of a model's weights."""
    return _ENUMS.get(model, f"{model}_Weights")
