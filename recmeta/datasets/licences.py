"""Terms of use and citations of the data sets. Texts in quotation marks are their makers'."""

GROUPLENS = (
    'GroupLens: "The data set may be used for any research purposes under the following conditions: ... The user may '
    "not redistribute the data without separate permission. The user may not use this information for any commercial "
    'or revenue-bearing purposes without first obtaining permission ..." No endorsement may be implied; publications '
    "must acknowledge the data set."
)

GROUPLENS_SHARED = (
    'GroupLens: "The user may redistribute the data set, including transformations, so long as it is distributed under '
    "these same license conditions. The user may not use this information for any commercial or revenue-bearing "
    'purposes without first obtaining permission ..." No endorsement may be implied; publications must acknowledge the '
    "data set."
)

MOVIELENS_PAPER = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. doi:10.1145/2827872"
)
