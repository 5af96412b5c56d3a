"""Addresses and known checksums of the Amazon reviews' rating-only files."""

from __future__ import annotations

from recmeta.datasets.sources import Archive

_PLACES = {
    2018: ("https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall", ".csv"),
    2023: ("https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/benchmark/0core/rating_only", ".csv.gz"),
}

# As a public library of data sets checks them. A category missing here is pinned when it is first fetched.
_SHA256 = {
    (2018, "All_Beauty"): "b3d9260771f9fe489a61180b9ff407e15e10f481a287848f69bc4709b669246f",
    (2018, "Books"): "2ff13d9763d38118851d8f8a4ab530f958e08ad48aa764c2d9bbe16ec227a3b8",
    (2018, "CDs_and_Vinyl"): "daedcfb79310479728f11cc1e66d49ec6dccdec124222391bf6f4f69ca5092db",
    (2018, "Digital_Music"): "a73f1504ed58fdc3533a6817b4c89fc4f722eb46dc18f94a4566a4b171439c9c",
    (2018, "Electronics"): "1ce756643c0abed1b0d8a0738e67fc2510f3086d2bd52567942e18582dd01791",
    (2018, "Movies_and_TV"): "c7a6ca7769a34fd0d335e1cd25e359c18a8fcd474515f8b62986297e35b5fc4f",
    (2018, "Musical_Instruments"): "8933b17434e4984bcce8cf4ec43d847e0af6aa6d46add28bbb37b80e06da1b06",
    (2018, "Software"): "86d2ec7712b4c979bf7e7e984d39989b610c9f0e4ba4fc02c6aac7dcd9a15583",
    (2018, "Sports_and_Outdoors"): "da8d746f1602d5ff01d4056c8f55b228996a30d40069b658d71388b0bf3df5d6",
    (2018, "Toys_and_Games"): "cfdf96d55b3d923c913f3b139e7fabdc20360989db38527ef5947982aa246d45",
    (2018, "Video_Games"): "c3fec1cce4ee67f0d51f8b53a7e294d8bbe6f75ca1d8732256e900b3c46606d8",
    (2023, "All_Beauty"): "54b894e68ad965aa73cdb80d8695c1ed37679c46f38b6f97b21ab0fb585aab24",
    (2023, "Books"): "752e144c1d3804619711a6b21bd68a5505825064723bfcd5008ac26067abe04b",
    (2023, "CDs_and_Vinyl"): "1bade4e428efcffb549b6b7cb1f62a8cde9644e19a981a210b11a4c9c1561e75",
    (2023, "Digital_Music"): "dbd5ddd5398d0eb9cfe224c9cc60470ccfd9c55e76fc82653dd3f44f6796c2a1",
    (2023, "Electronics"): "2ac3508c5d0ee55ed9fdc833629f751e0f0120b9a8cb30867c8c14b87911c170",
    (2023, "Movies_and_TV"): "aa927ae5a4fc5262bfa6152ce522349f828760035242fd7e02b1dc139e867156",
    (2023, "Musical_Instruments"): "042648a89f479aaa2af4664dcb49966dbaf07bd5ebab6957799f5fb4c5efa2e0",
    (2023, "Software"): "11687bdbedc0bfd9bf86368465dcab40f2450d1ea8eabd3c830ba8b339edd9c0",
    (2023, "Sports_and_Outdoors"): "110617511c7303ca34d157b7d62fd20a02e412c3639b4c6e307a951fadf0414c",
    (2023, "Toys_and_Games"): "170fc8a18797c6091cf1b07bb3d97c13c94bfa030cf76c430bb8cac0dfb47a9f",
    (2023, "Video_Games"): "30692f9806e33a7b5d8b599b73d7ca33dbfefb0abdfc1578052a101f2e64b3cd",
}


def amazon_file(edition: int, category: str) -> Archive:
    """The rating-only file of a category.

    Args:
        edition: 2018 or 2023.
        category: in the makers' spelling, Digital_Music.
    """
    folder, suffix = _PLACES[edition]
    return Archive(
        url=f"{folder}/{category}{suffix}",
        # The editions share the names of categories.
        filename=f"{category}_{edition}{suffix}",
        sha256=_SHA256.get((edition, category)),
    )
